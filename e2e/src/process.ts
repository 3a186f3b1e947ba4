/** The processes that a test needs, started from the built binaries. They end with the test. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';

/** The tests run from `build/`, two folders below the top. */
export const TOP = fileURLToPath(new URL('../..', import.meta.url));
/** The folder of the binaries. */
export const BINARIES = process.env['TAUTLINE_BINARIES'] ?? `${TOP}/target/debug`;
const PAGE = `${TOP}/examples/demo/dist`;

/** The demo's gateway on a free port, with its own page or another one; where it is. */
export async function startDemo(test: TestContext, page = PAGE): Promise<string> {
  const args = ['--listen', '127.0.0.1:0', '--page', page];
  const [, url] = await start(test, 'tautline-demo', args, /open (http:\S+)/);
  return url!;
}

/** `tautline serve --dev` on a free port, keeping nothing, with these variables; where it is. */
export async function startGateway(test: TestContext, variables: Record<string, string>): Promise<string> {
  const args = ['serve', '--dev', '--engine', 'memory', '--listen', '127.0.0.1:0'];
  const [, url] = await start(test, 'tautline', args, /listening on (http:\S+)/, variables);
  return url!;
}

/** A running server of Gold. */
export interface Gold {
  url: string;
  /** `kill -9`, then the same port and the same data again. */
  crash(): Promise<void>;
}

/** The server of Gold on a free port, with its page and a folder of its own. */
export async function startGold(test: TestContext): Promise<Gold> {
  const data = await mkdtemp(join(tmpdir(), 'gold-'));
  const args = ['--data', data, '--page', `${TOP}/examples/gold/web/dist`];
  const run = (listen: string) => startChild(test, 'tautline-gold', ['--listen', listen, ...args], /open (http:\S+)/);
  const kill = async ({ child }: { child: ChildProcess }) => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  // Its data goes after it.
  let running: Awaited<ReturnType<typeof run>> | undefined;
  test.after(async () => {
    if (running) await kill(running);
    await rm(data, { recursive: true, force: true });
  });
  running = await run('127.0.0.1:0');
  const url = running.match[1]!;
  return {
    url,
    async crash() {
      const before = running!;
      running = undefined;
      await kill(before);
      running = await run(new URL(url).host);
    },
  };
}

/** Tells every connection of the demo's gateway to come back. */
export async function drainGateway(gateway: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${gateway}/demo/drain`, { method: 'POST', headers, body: '{}' });
  if (!response.ok) throw new Error(`the drain answered ${response.status}: ${await response.text()}`);
}

/** A running `tautline-chaos`. */
export interface Chaos {
  /** Where browsers go instead of to the upstream. */
  url: string;
  /** Asks its control API. */
  control(path: string, body: object): Promise<void>;
}

/** The chaos proxy on free ports, in front of `upstream`. */
export async function startChaos(test: TestContext, upstream: string, seed: number): Promise<Chaos> {
  const args = ['--listen', '127.0.0.1:0', '--upstream', new URL(upstream).host];
  const flags = ['--control', '127.0.0.1:0', '--seed', String(seed)];
  const ready = /chaos: (\S+) -> .* control (http:[^,\s]+)/;
  const [, address, control] = await start(test, 'tautline-chaos', [...args, ...flags], ready);
  return {
    url: `http://${address}`,
    async control(path, body) {
      const response = await fetch(`${control}${path}`, { method: 'POST', body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    },
  };
}

/** Starts a program and waits for the line that says it is ready. */
async function start(...how: Parameters<typeof startChild>): Promise<RegExpMatchArray> {
  return (await startChild(...how)).match;
}

async function startChild(
  test: TestContext,
  program: string,
  args: string[],
  ready: RegExp,
  variables: Record<string, string> = {},
): Promise<{ child: ChildProcess; match: RegExpMatchArray }> {
  const path = `${BINARIES}/${program}`;
  const env = { ...process.env, ...variables };
  const child = spawn(path, [...args, '--log', 'warn'], { stdio: ['ignore', 'pipe', 'inherit'], env });
  test.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  let said = '';
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`cannot start ${path}: ${error.message}; TAUTLINE_BINARIES names its folder`)));
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code} before it was ready`)));
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      const match = said.match(ready);
      if (match) resolve({ child, match });
    });
  });
}
