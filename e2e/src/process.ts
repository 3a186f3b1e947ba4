/** The processes that a test needs, started from the built binary. They end with the test. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';

/** The tests run from `build/`, two folders below the top. */
export const TOP = fileURLToPath(new URL('../..', import.meta.url));
const TAUTLINE = process.env['TAUTLINE'] ?? `${TOP}/target/release/tautline`;
const PAGE = `${TOP}/examples/demo/dist`;

/** The demo's gateway on a free port, with its own page or another one; where it is. */
export async function startDemo(test: TestContext, page = PAGE): Promise<string> {
  const [, url] = await start(test, ['demo', '--listen', '127.0.0.1:0', '--page', page], /open (http:\S+)/);
  return url!;
}

/** Tells every connection of the demo's gateway to come back. */
export async function drainGateway(gateway: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${gateway}/demo/drain`, { method: 'POST', headers, body: '{}' });
  if (!response.ok) throw new Error(`the drain answered ${response.status}: ${await response.text()}`);
}

/** A running `tautline chaos`. */
export interface Chaos {
  /** Where browsers go instead of to the upstream. */
  url: string;
  /** Asks its control API. */
  control(path: string, body: object): Promise<void>;
}

/** The chaos proxy on free ports, in front of `upstream`. */
export async function startChaos(test: TestContext, upstream: string, seed: number): Promise<Chaos> {
  const args = ['chaos', '--listen', '127.0.0.1:0', '--upstream', new URL(upstream).host];
  const flags = ['--control', '127.0.0.1:0', '--seed', String(seed)];
  const [, address, control] = await start(test, [...args, ...flags], /chaos: (\S+) -> .* control (http:[^,\s]+)/);
  return {
    url: `http://${address}`,
    async control(path, body) {
      const response = await fetch(`${control}${path}`, { method: 'POST', body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    },
  };
}

/** Starts the binary and waits for the line that says it is ready. */
async function start(test: TestContext, args: string[], ready: RegExp): Promise<RegExpMatchArray> {
  const child = spawn(TAUTLINE, [...args, '--log', 'warn'], { stdio: ['ignore', 'pipe', 'inherit'] });
  test.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  let said = '';
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`cannot start ${TAUTLINE}: ${error.message}; TAUTLINE names the binary`)));
    child.on('exit', (code) => reject(new Error(`tautline ${args[0]} ended with ${code} before it was ready`)));
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      const match = said.match(ready);
      if (match) resolve(match);
    });
  });
}
