/** The first example of the README logs in with a code: at `tautline serve --dev` and the mock of WeChat, without an app id. */

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { WebSocket } from 'ws';
import type { Tautline } from '../../src/index.js';
import { FakeWechat } from '../fakes/wechat.js';

/** The built binary. */
const TAUTLINE = process.env.TAUTLINE ?? resolve(__dirname, '../../../../../target/debug/tautline');
const README = resolve(__dirname, '../../../../README.md');

const folder = mkdtempSync(join(tmpdir(), 'tautline-readme-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** Starts the binary and reads what it prints, to the line that fits. */
async function start(args: string[], last: RegExp): Promise<string> {
  const child = spawn(TAUTLINE, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const printed = (async () => {
    let lines = '';
    for await (const line of createInterface({ input: child.stdout })) {
      lines += line + '\n';
      if (last.test(line)) return lines;
    }
    throw new Error(`it has ended: ${lines}`);
  })();
  return Promise.race([printed, failed]);
}

/** A `wx` whose codes the mock takes, and whose sockets reach the gateway at `address`, whatever domain the app names. */
function hostAt(address: string): FakeWechat {
  const host = new FakeWechat();
  host.onDial = (task) => {
    const socket = new WebSocket(
      task.connect.url.replace(/^wss:\/\/[^/]+/, `ws://${address}`),
      task.connect.protocols,
    );
    socket.on('open', () => task.opens());
    socket.on('message', (data) => task.receives(String(data)));
    socket.on('close', (code, reason) => task.closesWith(code, String(reason)));
    socket.on('error', ({ message }) => task.errs(message));
    task.onSend = (data) => socket.send(data as string);
    task.onClosing = () => socket.close();
  };
  let logins = 0;
  const login = ({ success }: { success(result: { code: string }): void }) =>
    success({ code: `ann.${++logins}` });
  return Object.assign(host, { login });
}

test('the first example of the README logs in at the mock of WeChat', async () => {
  const config = join(folder, 'login.toml');
  writeFileSync(config, await start(['mock', 'wechat'], /^app_secret/));
  const listening = await start(
    ['serve', '--dev', '--config', config, '--listen', '127.0.0.1:0', '--engine', 'memory'],
    /http:\/\//,
  );
  const [, address] = /http:\/\/([\d.:]+)/.exec(listening)!;

  const wx = hostAt(address!);
  Object.assign(globalThis, { wx });
  const [, code] = /## Start: native WeChat\n[^]*?```js\n([^]*?)```/.exec(readFileSync(README, 'utf8'))!;
  let app: { onLaunch(): void; line: Tautline } | undefined;
  const use = (name: string): unknown => require(name.replace(/^tautline/, '../../src/entries')) as unknown;
  new Function('require', 'App', 'wx', code!)(use, (options: typeof app) => (app = options), wx);
  app!.onLaunch();
  const welcome = new Promise<{ user?: string }>((received) => app!.line.on('welcome', received));
  app!.line.connect();
  assert.equal((await welcome).user, 'wechat:ann');
  app!.line.close();
});
