/** The session takes and refuses packets as `spec/vectors/packets.json` says. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { Session } from '../src/session.js';
import type { Input, Output } from '../src/types.js';

interface PacketVector {
  name: string;
  line: string;
  /** It is no packet. */
  bad_packet?: object;
  /** Only a parser that looks at every field has to notice. */
  strict?: boolean;
}
interface MessageVector {
  name: string;
  text: string;
  /** The packets in it. */
  lines: string[];
}

const FILE = resolve(__dirname, '../../../../spec/vectors/packets.json');
const vectors = JSON.parse(readFileSync(FILE, 'utf8')) as {
  server: PacketVector[];
  messages: MessageVector[];
};

const WELCOME = {
  session: 's1',
  ticket: 't1',
  resumed: false,
  ping_ms: 25_000,
  pong_ms: 8_000,
  max_message_bytes: 65_536,
  now: 1,
  node: 'n1',
};

/** A session that is waiting for its welcome, or has had it; `hear` gives what it does with a message. */
function listening(welcomed: boolean): { hear: (text: string) => Output[] } {
  const session = new Session({}, 1);
  const feed = (input: Input): Output[] => {
    session.handleInput({ mono_ms: 0, wall_ms: 0 }, input);
    const outputs: Output[] = [];
    for (let output = session.pollOutput(); output; output = session.pollOutput()) outputs.push(output);
    return outputs;
  };
  feed({ type: 'connect' });
  feed({ type: 'auth', auth: { guest: true } });
  feed({ type: 'socket_open', socket: 1 });
  const hear = (text: string) => feed({ type: 'socket_message', socket: 1, text });
  if (welcomed) hear(JSON.stringify({ welcome: WELCOME }));
  return { hear };
}

function isRefused(outputs: Output[]): boolean {
  return outputs.some((output) => output.type === 'drop' && output.cause === 'protocol_error');
}

describe('packets of the server', () => {
  for (const { name, line, bad_packet, strict } of vectors.server) {
    // This end trusts the shape of bodies: what strict parsers refuse has no effect here, or ends the line.
    if (strict) continue;
    test(name, () => {
      const greeting = /^\{"(welcome|challenge)"/.test(line);
      const outputs = listening(!greeting).hear(line);
      const byeOfFault =
        /"code":"(slow_peer|bad_packet|too_large|unsupported_version)"/.test(line) && /"bye"/.test(line);
      assert.equal(isRefused(outputs), bad_packet !== undefined || byeOfFault, JSON.stringify(outputs));
    });
  }
});

describe('messages', () => {
  for (const { name, text, lines } of vectors.messages) {
    test(name, () => {
      // Unknown verbs are ignored, so what counts is what comes behind: a welcome at the end is still heard.
      const outputs = listening(false).hear(`${text}\n${JSON.stringify({ welcome: WELCOME })}`);
      assert.ok(
        outputs.some((output) => output.type === 'welcome'),
        `${lines.length} packets, then a welcome`,
      );
      assert.ok(!isRefused(outputs));
    });
  }
});
