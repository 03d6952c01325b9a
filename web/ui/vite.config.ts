/// <reference types="vitest/config" />
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [svelte({ compilerOptions: { css: "external" } })],
  // Scripts and sounds must be files: the content policy has no data: and no blob:.
  build: { outDir: "../dist", emptyOutDir: true, assetsInlineLimit: 0, target: "es2022", modulePreload: { polyfill: false } },
  server: { proxy: { "/mqtt": { target: "ws://127.0.0.1:5010", ws: true }, "/api": "http://127.0.0.1:5010", "/healthz": "http://127.0.0.1:5010" } },
  resolve: { conditions: ["browser"] },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
