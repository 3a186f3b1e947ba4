// `npm run dev`: builds the pages as they change and serves them over made-up data.
// GATEWAY=127.0.0.1:8080 gives the test phone something to dial, SESSIONS=100000 makes the list long.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startFake } from './fake.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { GATEWAY: gateway, SESSIONS, PORT, SETUP } = process.env;
const fake = await startFake({
  dist: here('../dist'),
  port: Number(PORT ?? 5173),
  sessions: Number(SESSIONS ?? 1_000),
  setup: Boolean(SETUP),
  ...(gateway && { gateway }),
});
console.log(`open ${fake.url} as admin, operator or viewer, with the password "console"`);
const vite = spawn('npx', ['vite', 'build', '--watch'], { cwd: here('..'), stdio: 'inherit' });
process.on('SIGINT', () => {
  vite.kill();
  void fake.close();
});
