/** A stage for one page: a folder, ports of its own in the place of those that the page names, and everything it starts. */

import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const HERE = import.meta.dirname;
export const ROOT = resolve(HERE, '../../..');
export const TAUTLINE = process.env.TAUTLINE ?? join(ROOT, 'target/debug/tautline');
const SDK = process.env.SDK ?? join(ROOT, 'sdk');
/** The longest that a command, or the wait for something printed, may take. */
const PATIENCE_MS = 60_000;
/** Ports that pages name. */
const PORTS = ['8000', '8080', '8443', '9000'];

export const has = (program) => spawnSync('sh', ['-c', `PATH="$PATH:/usr/sbin" command -v ${program}`]).status === 0;

const pick = (name) => (process.env[name] ? { [name]: process.env[name] } : {});

/** A port below those that systems give out by themselves, so that nobody is given it meanwhile. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await new Promise((settle) => server.once('listening', () => settle(true)).once('error', () => settle(false)));
    if (!isFree) continue;
    await new Promise((closed) => server.close(closed));
    return String(port);
  }
}

export class Stage {
  /** Sets up the folder: `tautline` in the path, the SDK as a package, and Node as a page may assume it. */
  static async open() {
    const stage = new Stage();
    stage.folder = mkdtempSync(join(tmpdir(), 'tautline-book-'));
    chmodSync(stage.folder, 0o755); // nginx works as another user
    stage.groups = [];
    stage.outputs = 0;
    stage.ports = new Map();
    for (const port of PORTS) stage.ports.set(port, await freePort());
    const bin = join(stage.folder, '.bin');
    mkdirSync(bin);
    symlinkSync(TAUTLINE, join(bin, 'tautline'));
    mkdirSync(join(stage.folder, 'node_modules'));
    symlinkSync(SDK, join(stage.folder, 'node_modules/tautline'));
    symlinkSync(join(SDK, 'dist/tautline.global.js'), join(stage.folder, 'tautline.global.js'));
    const old = Number(process.versions.node.split('.')[0]) < 22;
    const options = old ? '--experimental-websocket --experimental-detect-module --no-warnings' : '--no-warnings';
    const env = { PATH: `${bin}:${process.env.PATH}:/usr/sbin`, HOME: stage.folder, NODE_OPTIONS: options };
    // Go compiles its library once, and not for each page.
    const go = { GOCACHE: join(ROOT, 'target/book-go'), ...pick('GOROOT') };
    stage.env = { ...env, ...go, RUST_LOG: 'warn', LANG: 'C.UTF-8' };
    return stage;
  }

  /** The text of a block with the ports of this stage. */
  local(text) {
    return [...this.ports].reduce((done, [port, here]) => done.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), here), text);
  }

  write(name, text) {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, this.local(text));
    if (text.startsWith('#!')) chmodSync(path, 0o755);
    return path;
  }

  read(name) {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  /** Starts a program in a process group of its own; what it prints goes to a file. */
  start(command, args) {
    const output = join(this.folder, `.output-${this.outputs++}`);
    const fd = openSync(output, 'w');
    const child = spawn(command, args, { cwd: this.folder, env: this.env, stdio: ['ignore', fd, fd], detached: true });
    closeSync(fd);
    this.groups.push(child.pid);
    const ended = new Promise((settle, reject) => child.once('exit', settle).once('error', reject));
    ended.catch(() => {});
    return { child, ended, printed: () => readFileSync(output, 'utf8') };
  }

  /** Runs a script; what it exports is there for the next one. */
  async run(script) {
    const shared = join(this.folder, '.env');
    const begin = existsSync(shared) ? `. ${shared}\n` : '';
    const end = `trap 'export -p > ${shared}' EXIT\n`;
    const running = this.start('bash', ['-euo', 'pipefail', '-c', begin + end + this.local(script)]);
    const code = await Promise.race([running.ended, delay(PATIENCE_MS, 'timeout', { ref: false })]);
    if (code !== 0) throw new Error(`exit ${code}:\n${running.printed()}`);
    return running;
  }

  /** Starts what goes on, and waits until it has said that it is ready. */
  async serve(script, ready = /listening|ready|app_secret/) {
    const shared = join(this.folder, '.env');
    const begin = existsSync(shared) ? `. ${shared}\n` : '';
    // Where no file of the page says otherwise, a gateway listens on 8000.
    const elsewhere = readdirSync(this.folder).some((name) => /toml$/.test(name) && /listen/.test(this.read(name)));
    const listen = elsewhere ? '' : `export TAUTLINE_LISTEN=127.0.0.1:${this.ports.get('8000')}\n`;
    const running = this.start('bash', ['-euo', 'pipefail', '-c', begin + listen + this.local(script)]);
    await this.until(running, (printed) => ready.test(printed));
    return running;
  }

  /** Waits until a program has printed what is asked for. */
  async until(running, isThere) {
    let ended = false;
    running.ended.then(() => (ended = true));
    for (const start = Date.now(); !isThere(running.printed()); await delay(20)) {
      if (ended || Date.now() - start > PATIENCE_MS) {
        if (isThere(running.printed())) return;
        throw new Error(`${ended ? 'it has ended' : 'not in time'}; printed:\n${running.printed()}`);
      }
    }
  }

  close() {
    for (const group of this.groups) {
      try {
        process.kill(-group, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
