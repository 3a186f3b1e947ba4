/** The mini program: its files belong together, its code fits the host's typings, and it plays on a phone that fails. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeWechat } from '../../../../sdk/test/fakes/wechat.ts';
import type { GameEvent } from '../src/shared.ts';
import { checkModules, checkStructure, checkTypes } from '../../../mini-check.ts';
import { MINI, Phone } from './phone.ts';

test('vendor tool finds all that it needs', () => checkStructure(MINI));
test('every module that is required is there', () => checkModules(MINI));
test('code fits the typings of the host', () => checkTypes(MINI, join(import.meta.dirname, '..')));

const SETTINGS = { width: 4, height: 4, gold: 2, seats: 2 };
const turn = (number: number, seat: number) => ({ number, seat, ends_at: 20_000 });
const EVENTS: GameEvent[] = [
  { n: 1, at: 0, type: 'opened', settings: SETTINGS },
  { n: 2, at: 1, type: 'joined', seat: 0, player: 'p1', name: 'Ann' },
  { n: 3, at: 2, type: 'joined', seat: 1, player: 'p2', name: 'Bo' },
  { n: 4, at: 2, type: 'started', turn: turn(1, 0) },
  { n: 5, at: 3, type: 'dug', seat: 0, cell: 0, opened: [[0, 9]], points: 1, turn: turn(2, 1) },
  { n: 6, at: 4, type: 'dug', seat: 1, cell: 1, opened: [[1, 1]], points: 0, turn: turn(3, 0) },
  { n: 7, at: 5, type: 'passed', seat: 0, turn: turn(4, 1) },
  { n: 8, at: 6, type: 'dug', seat: 1, cell: 2, opened: [[2, 9]], points: 1, turn: null },
  { n: 9, at: 6, type: 'ended', why: 'found' },
];
const MOVES = ['Ann sits down', 'Bo sits down', 'The game begins', 'Ann finds gold', 'Bo digs: 1 around', 'Ann took too long', 'Bo finds gold', 'All gold is found'];

/** A phone in a room in which four events have happened. */
async function playing() {
  const phone = new Phone();
  const { gateway, world } = phone.served;
  gateway.user = 'p1';
  for (const method of ['gold.dig', 'gold.join', 'gold.open']) gateway.methods.add(method);
  const publish = (...numbers: number[]) =>
    numbers.forEach((n) => gateway.publish('gold:r1', EVENTS[n - 1], world.now()));
  phone.launch();
  const room = phone.open('pages/room/room', { room: 'r1' });
  publish(1, 2, 3, 4);
  await world.advance(1_000);
  return { phone, room, publish, world, gateway };
}

const moves = (room: { data: Record<string, any> }) => [...(room.data['moves'] as string[])].reverse();

test('home page fetches rooms and opens no line', async () => {
  const phone = new Phone();
  const about = { settings: SETTINGS, gold_left: 2, players: ['Ann'] };
  phone.answers['/gold/rooms'] = [{ room: 'r1', is_waiting: true, ...about }];
  phone.served.gateway.methods.add('gold.join');
  phone.launch();
  const home = phone.open('pages/home/home');
  await phone.served.world.advance(10_000);
  assert.equal(home.data['rooms'].length, 1);
  assert.equal(phone.wx.tasks.length, 0);
  home.call('onEnter', { room: 'r1', waiting: true });
  await phone.served.world.advance(1_000);
  assert.equal(phone.wx.tasks.length, 1);
  assert.deepEqual(phone.went, ['/pages/room/room?room=r1']);
});

test('own turn digs once and shows what is published', async () => {
  const { room, publish, world, gateway } = await playing();
  assert.equal(room.data['headline'], 'Your turn: dig!');
  room.call('onDig', { cell: 0 });
  await world.advance(1_000);
  assert.deepEqual(gateway.executed, [{ room: 'r1', turn: 1, cell: 0 }]);
  publish(5);
  await world.advance(1_000);
  assert.equal(room.data['headline'], 'Bo digs');
  assert.equal(room.data['rows'][0][0].sign, '*');
  room.call('onDig', { cell: 3 });
  await world.advance(1_000);
  assert.equal(gateway.executed.length, 1);
});

test('moves made in the background are shown in order', async () => {
  const { phone, room, publish, world } = await playing();
  phone.served.hide();
  await world.advance(10_000);
  assert.equal(phone.served.held.size, 0);
  publish(5, 6, 7);
  await world.advance(10_000);
  assert.equal(room.data['moves'].length, 3);
  phone.served.show();
  await world.advance(2_000);
  assert.deepEqual(moves(room), MOVES.slice(0, 6));
});

test('destroyed app comes back into the same field', async () => {
  const { phone, publish, world } = await playing();
  phone.destroy();
  publish(5, 6, 7, 8, 9);
  await world.advance(60_000);
  phone.launch();
  const room = phone.open('pages/room/room', { room: 'r1' });
  await world.advance(2_000);
  assert.deepEqual(moves(room), MOVES);
  assert.equal(room.data['headline'], 'A draw: Ann, Bo');
  assert.equal(room.data['rows'][0].map(({ sign }: { sign: string }) => sign).join(''), '*1*.');
  assert.equal(phone.kept.get('player'), 'p1');
});

/** What the app has logged in with. */
const logins = (phone: Phone) =>
  (phone.served.gateway.all('hello') as { auth?: { code: string } }[]).map(({ auth }) => auth).filter(Boolean);

test('app logs in with a code of the host', async () => {
  const phone = new Phone();
  phone.config = { MOCK_LOGIN: false };
  phone.launch();
  phone.open('pages/room/room', { room: 'r1' });
  await phone.served.world.advance(1_000);
  assert.deepEqual(logins(phone), [{ code: 'code-1', provider: 'wechat' }]);
});

test('every login has a new code of one player', async () => {
  const phone = new Phone();
  for (const _ of [1, 2]) {
    phone.launch();
    phone.open('pages/room/room', { room: 'r1' });
    await phone.served.world.advance(1_000);
    phone.destroy();
    // A session that went on would need no login.
    for (const key of [...phone.kept.keys()].filter((key) => key !== 'mock')) phone.kept.delete(key);
  }
  const codes = logins(phone).map((auth) => auth!.code);
  assert.equal(new Set(codes).size, 2, String(codes));
  assert.equal(new Set(codes.map((code) => code.split('.')[0])).size, 1, String(codes));
});

test('phone without a login tries again', async () => {
  const phone = new Phone();
  phone.config = { MOCK_LOGIN: false };
  phone.loginFails = 2;
  phone.launch();
  phone.open('pages/room/room', { room: 'r1' });
  await phone.served.world.advance(60_000);
  assert.deepEqual(logins(phone), [{ code: 'code-3', provider: 'wechat' }]);
});

test('page that is left hears nothing any more', async () => {
  const { room, publish, world } = await playing();
  room.call('onUnload');
  await world.advance(100);
  publish(5);
  await world.advance(1_000);
  assert.equal(room.data['moves'].length, 3);
});

interface Broken {
  api: { connectSocket(options: object): FakeWechat['task']; getNetworkType(options: object): void };
  cut(): void;
  mute(isMute: boolean): void;
}

test('lab breaks a socket by a cut and by silence', () => {
  const load = createRequire(import.meta.url);
  const { breakable } = load(join(MINI, 'breakable.js')) as { breakable(wx: object): Broken };
  const wx = new FakeWechat();
  const network = breakable(wx);
  const heard: string[] = [];
  const socket = network.api.connectSocket({ url: 'wss://a.example' });
  socket.onOpen((() => heard.push('open')) as never);
  socket.onMessage(({ data }: { data: unknown }) => heard.push(String(data)));
  socket.onError((() => heard.push('error')) as never);
  socket.onClose(({ code }: { code?: number }) => heard.push(`close ${code}`));
  wx.task.opens();
  wx.task.receives('one');
  network.mute(true);
  wx.task.receives('lost');
  socket.send({ data: 'lost', success: () => heard.push('sent') });
  network.mute(false);
  wx.task.receives('two');
  socket.send({ data: 'three' });
  network.cut();
  assert.deepEqual(heard, ['open', 'one', 'sent', 'two', 'close 1006']);
  assert.deepEqual(wx.task.sent, ['three']);
  assert.equal(wx.task.closes.length, 1);
  network.api.getNetworkType({ success: ({ networkType }: { networkType: string }) => heard.push(networkType) });
  assert.equal(heard.at(-1), 'wifi');
});

test('lab opens two lines and shows what each does', async () => {
  const phone = new Phone();
  const { gateway, world } = phone.served;
  gateway.user = 'p1';
  gateway.methods.add('gold.open');
  gateway.methods.add('gold.join');
  phone.launch();
  const lab = phone.open('pages/lab/lab');
  await world.advance(2_000);
  assert.equal(phone.wx.tasks.length, 2);
  const states = () => lab.data['lines'].map(({ state }: { state: string }) => state);
  assert.deepEqual(states(), ['online', 'online']);
  lab.call('onBackground', { index: 0 });
  await world.advance(10_000);
  assert.deepEqual(states(), ['in the background', 'online']);
  lab.call('onBackground', { index: 0 });
  phone.wx.tasks[1]!.closesWith(1006, 'lost');
  await world.advance(10_000);
  assert.deepEqual(states(), ['online', 'online']);
  assert.equal(lab.data['lines'][1].drops.length, 1);
  lab.call('onUnload');
  await world.advance(1_000);
  assert.deepEqual(states(), ['closed', 'closed']);
});
