/**
 * The real hub on a virtual clock, in a process of its own: `crates/tautline-sim/examples/remote.rs`.
 *
 * Orders and answers go through two named pipes, and are waited for: so a history is the same each time.
 */

import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** From `build/node/test/model`. */
const BINARY = process.env['REMOTE'] ?? resolve(__dirname, '../../../../../target/debug/examples/remote');

/** What a connection is sent, or that it ends. */
export interface Sent {
  connection: number;
  text?: string;
  code?: number;
  reason?: string;
}

export interface Truth {
  logs: { channel: string; epoch: string; payloads: string[] }[];
  executed: { [payload: string]: number };
  acked: { head: number; epoch: string; place: { epoch: string; offset: number } | null }[];
}

export interface Answer {
  out: Sent[];
  due: number;
  told: unknown;
}

export class Server {
  private readonly folder = mkdtempSync(join(tmpdir(), 'tautline-model-'));
  private readonly orders: number;
  private readonly answers: number;
  private readonly buffer = Buffer.alloc(1 << 20);
  private rest = Buffer.alloc(0);

  constructor() {
    const [orders, answers] = [join(this.folder, 'orders'), join(this.folder, 'answers')];
    execFileSync('mkfifo', [orders, answers]);
    // By the shell, which opens both ends also where there is no such program: else nobody would ever come.
    spawn('sh', ['-c', 'exec 3<"$1" 4>"$2"; exec "$0" /dev/fd/3 /dev/fd/4', BINARY, orders, answers], {
      stdio: ['ignore', 'inherit', 'inherit'],
    }).unref();
    this.orders = openSync(orders, 'w');
    this.answers = openSync(answers, 'r');
  }

  order(order: { at: number; do: string; [name: string]: unknown }): Answer {
    writeSync(this.orders, JSON.stringify(order) + '\n');
    return JSON.parse(this.line()) as Answer;
  }

  end(): void {
    closeSync(this.orders);
    closeSync(this.answers);
    rmSync(this.folder, { recursive: true });
  }

  private line(): string {
    for (;;) {
      const end = this.rest.indexOf(10);
      if (end >= 0) {
        const line = this.rest.toString('utf8', 0, end);
        this.rest = this.rest.subarray(end + 1);
        return line;
      }
      const length = readSync(this.answers, this.buffer);
      if (!length) throw new Error(`${BINARY} has ended: cargo build -p tautline-sim --example remote`);
      this.rest = Buffer.concat([this.rest, this.buffer.subarray(0, length)]);
    }
  }
}
