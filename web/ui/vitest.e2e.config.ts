import { defineConfig } from "vitest/config";

// One browser and one robot at a time: the machine is small, and times are measured.
export default defineConfig({
  test: { include: ["e2e/**/*.test.ts"], environment: "node", fileParallelism: false, testTimeout: 30_000, hookTimeout: 60_000, expect: { poll: { timeout: 6000 } } },
});
