/** The test phone's bad network, over a host that a test moves by hand. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChaosHost, type Packet } from '../src/lib/chaos-host.ts';

type Host = ConstructorParameters<typeof ChaosHost>[0];
type Tell = Parameters<Host['watch']>[0];
type Fact = Parameters<Tell>[0];

/** A host whose time and whose peer a test moves by hand. */
function rig() {
  const state = { now: 0, sent: [] as unknown[], closed: 0, peer: (() => undefined) as Tell };
  const timers: (() => void)[] = [];
  const inner: Host = {
    platform: 'test',
    slots: 2,
    background: true,
    now: () => state.now,
    setTimer: (_, fire) => {
      timers.push(fire);
      return () => undefined;
    },
    watch: (tell) => {
      tell({ type: 'hide' });
      tell({ type: 'network', online: true });
      return () => undefined;
    },
    dial: (_url, _protocol, _socket, tell) => {
      state.peer = tell;
      return { send: (data) => state.sent.push(data), close: () => state.closed++ };
    },
  };
  const packets: Packet[] = [];
  const host = new ChaosHost(inner, (packet) => packets.push(packet));
  const facts: Fact[] = [];
  const dial = () => host.dial('ws://x/connect', undefined, 1, (fact) => facts.push(fact));
  return { state, host, packets, facts, dial, runTimers: () => timers.splice(0).forEach((fire) => fire()) };
}

const message = (text: string) => ({ type: 'socket_message', socket: 1, text }) as const;

test('muted line holds packets both ways, then passes them in order', () => {
  const { state, packets, host, facts, dial, runTimers } = rig();
  const socket = dial();
  host.mute(5_000);
  for (const n of [1, 2]) socket.send(`{"id":${n}}`);
  state.peer(message('{"pong":{}}'));
  assert.deepEqual([state.sent, facts], [[], []]);
  assert.deepEqual(
    packets.filter(({ way }) => way === 'out').map(({ isHeld }) => isHeld),
    [true, true],
  );
  // The time is over and the timer is late: what comes meanwhile does not overtake.
  state.now = 5_000;
  socket.send('{"id":3}');
  assert.deepEqual(state.sent, []);
  runTimers();
  assert.deepEqual(state.sent, ['{"id":1}', '{"id":2}', '{"id":3}']);
  assert.deepEqual(facts, [message('{"pong":{}}')]);
});

test('second mute keeps what the first one held', () => {
  const { state, host, dial, runTimers } = rig();
  const socket = dial();
  host.mute(1_000);
  socket.send('a');
  host.mute(9_000);
  state.now = 1_000;
  runTimers();
  assert.deepEqual(state.sent, []);
});

test('connection that is cut while mute loses what was held', () => {
  const { state, host, facts, dial, runTimers } = rig();
  const socket = dial();
  host.mute(1_000);
  socket.send('a');
  state.peer(message('b'));
  host.cut();
  state.now = 1_000;
  runTimers();
  assert.deepEqual(state.sent, []);
  assert.deepEqual(
    facts.map(({ type }) => type),
    ['socket_closed'],
  );
});

test('cut ends the connection once with its cause', () => {
  const { state, host, facts, dial } = rig();
  dial();
  host.cut();
  state.peer(message('late'));
  state.peer({ type: 'socket_closed', socket: 1, code: 1000 });
  assert.equal(state.closed, 1);
  assert.deepEqual(facts, [{ type: 'socket_closed', socket: 1, code: 1006, cause: 'network_lost' }]);
});

test('refused dial fails a moment later and dials nobody', () => {
  const { host, facts, dial, runTimers } = rig();
  host.isRefusing = true;
  dial();
  assert.deepEqual(facts, []);
  runTimers();
  assert.deepEqual(facts, [{ type: 'socket_closed', socket: 1, code: 1006, cause: 'refused' }]);
});

test('page in the background leaves its phone alone', () => {
  const { host } = rig();
  const facts: Fact[] = [];
  host.watch((fact) => facts.push(fact));
  assert.deepEqual(facts, [{ type: 'network', online: true }]);
  host.setHidden(true);
  host.setHidden(false);
  assert.deepEqual(facts.slice(1), [{ type: 'hide' }, { type: 'show' }]);
});
