/// <reference types="vitest/config" />
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** packed compresses text once, here, instead of for every request. */
function packed(dir: string): Plugin {
  return {
    name: "packed",
    apply: "build",
    closeBundle() {
      for (const f of readdirSync(dir, { recursive: true, withFileTypes: true })) {
        const name = join(f.parentPath, f.name);
        if (!f.isFile() || !/\.(html|js|css|svg|webmanifest)$/.test(name)) continue;
        writeFileSync(`${name}.gz`, gzipSync(readFileSync(name), { level: 9 }));
        rmSync(name);
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte({ configFile: false, compilerOptions: { css: "external" } }), packed("../dist/page")],
  // Scripts and sounds must be files: the content policy has no data: and no blob:.
  build: { outDir: "../dist/page", emptyOutDir: true, assetsInlineLimit: 0, target: "es2022", modulePreload: { polyfill: false } },
  server: { proxy: { "/mqtt": { target: "ws://127.0.0.1:5010", ws: true }, "/api": "http://127.0.0.1:5010", "/healthz": "http://127.0.0.1:5010" } },
  // Under test, Svelte for browsers too: the stores are those of the page.
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
