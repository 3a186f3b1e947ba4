/** Faults that are put into a copy of the SDK, to see them found. */

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Sdk } from './app.js';

/** A fault: what stands in a compiled file, once, and what takes its place. */
export interface Fault {
  name: string;
  file: string;
  find: string;
  replace: string;
}

export const FAULTS: Fault[] = [
  {
    name: 'acknowledgements are thrown away by close',
    file: 'disconnect.js',
    find: 'if ((0, subscriptions_js_1.acksOf)(s))',
    replace: 'if (false)',
  },
  {
    name: 'a start of its own is ignored where the channel is subscribed',
    file: 'online.js',
    find: "if (it && !leaving_ && (from || 'now') === 'now') {",
    replace: 'if (it && !leaving_) {',
  },
  {
    name: 'handlers are confirmed again and again on one connection',
    file: 'listeners.js',
    find: 'if (it.toldOn_ === connection)',
    replace: 'if (false)',
  },
  {
    name: 'what is asked last is sent first',
    file: 'outbox.js',
    find: 's.outbox_.entries_.push(entry);\n        s.outbox_.requestCount_++;',
    replace:
      's.outbox_.entries_.splice(s.outbox_.entries_.filter((it) => it.id_).length, 0, entry);\n        s.outbox_.requestCount_++;',
  },
  {
    name: 'what was not answered is sent again under another id',
    file: 'online.js',
    find: 'entry.id_ = entry.id_ || s.outbox_.nextId_++;',
    replace: 'entry.id_ = s.outbox_.nextId_++;',
  },
  {
    name: 'a handler hears on after its end',
    file: 'listeners.js',
    find: 'function leave(it) {\n        it.ended_ = true;',
    replace: 'function leave(it) {',
  },
];

/** The SDK with a fault in it. From `build/node/test/model`. */
export function planted(fault: Fault, number: number): Sdk {
  const folder = resolve(__dirname, `../../planted-${number}`);
  rmSync(folder, { recursive: true, force: true });
  cpSync(resolve(__dirname, '../../src'), folder, { recursive: true });
  const file = join(folder, fault.file);
  const code = readFileSync(file, 'utf8');
  if (code.split(fault.find).length !== 2) throw new Error(`${fault.file} does not have once: ${fault.find}`);
  writeFileSync(
    file,
    code.replace(fault.find, () => fault.replace),
  );
  return { ...require(join(folder, 'index.js')), ...require(join(folder, 'storage.js')) } as Sdk;
}
