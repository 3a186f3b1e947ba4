/** Clients that exist already, unchanged, on the plain endpoint behind a bad network. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { startChaos, startGateway, type Chaos } from '../src/process.ts';
import { Book } from './book.ts';
import { KINDS } from './clients.ts';

const SECRET = 'a secret of the app and its gateway';
const API_KEY = 'key-of-the-back-end';
const FAULTS = ['cut', 'reset', 'fin'] as const;
const PUSHES_PER_FAULT = 8;

test('clients of today get everything on a bad network', async (t) => {
  const gateway = await startGateway(t, { TAUTLINE_AUTH_SECRET: SECRET, TAUTLINE_API_KEY: API_KEY });
  const chaos = await startChaos(t, gateway, 7);
  await chaos.control('/rules', { latency_ms: 10, jitter_ms: 5 });
  for (const [index, kind] of KINDS.entries()) {
    await t.test(kind.name, async () => {
      const user = `u${index}`;
      const book = new Book();
      const url = `${chaos.url.replace('http', 'ws')}/plain?chaos=${user}`;
      const client = await kind.start({ url, hello: JSON.stringify({ type: 'auth', token: token(user) }), book });
      try {
        await book.until('the login is accepted', () => book.count(accepted(user)) === 1);
        const answer = kind.answer;
        if (answer) await book.until('three heartbeats are answered', () => book.count(answer) >= (answer === '{"type":"pong"}' ? 1 : 3));
        assert.equal(book.opens, 1, 'and all on one connection');
        client.send('{"type":"echo","id":1,"n":1}');
        const echoed = '{"msgType":"echo_ack","id":1,"code":"200","success":true,"data":{"id":1,"n":1}}';
        await book.until('the call is answered', () => book.count(echoed) === 1);
        const sent = await pushThroughFaults(gateway, chaos, user, book);
        client.send('{"type":"echo","id":2}');
        await book.until('a call is answered after it', () => book.texts.some((text) => text.startsWith('{"msgType":"echo_ack","id":2,')));
        assert.deepEqual(book.pushes(), sent, 'nothing is lost or out of order');
      } finally {
        client.close();
      }
    });
  }
});

/** Pushes numbers while connections are lost, one behind every push of a round; the numbers. */
async function pushThroughFaults(gateway: string, chaos: Chaos, user: string, book: Book): Promise<number[]> {
  const sent: number[] = [];
  for (const fault of FAULTS) {
    const opens = book.opens;
    for (let round = 0; round < PUSHES_PER_FAULT; round++) {
      sent.push(sent.length + 1);
      await push(gateway, user, { push: sent.length });
      if (round === PUSHES_PER_FAULT / 2) await chaos.control('/faults', { fault, group: user });
    }
    await book.until(`it is back after a ${fault}`, () => book.opens > opens);
    await book.until(`all is there after a ${fault}`, () => book.pushes().length === sent.length);
  }
  return sent;
}

async function push(gateway: string, user: string, data: object): Promise<void> {
  const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  const response = await fetch(`${gateway}/api/v1/push`, { method: 'POST', headers, body: JSON.stringify({ user, data }) });
  if (!response.ok) throw new Error(`the push answered ${response.status}: ${await response.text()}`);
}

function accepted(user: string): string {
  return `{"msgType":"auth_ack","code":"200","success":true,"user":"${user}"}`;
}

/** A JWT as a back end makes it. */
function token(user: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, exp: 4_000_000_000 })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
