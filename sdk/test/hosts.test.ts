/** What holds for every mini program, whatever it is called; and what each of WeChat's copies does otherwise. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../src/host.js';
import { baiduHost, douyinHost, jdHost, kuaishouHost, qqHost } from '../src/hosts/wechat-compatible.js';
import { alipayHost } from '../src/hosts/alipay.js';
import { wechatHost } from '../src/hosts/wechat.js';
import { FakeAlipay, OldAlipay } from './fakes/alipay.js';
import {
  FakeBaidu,
  FakeDouyin,
  FakeKuaishou,
  FakeQq,
  OlderBaidu,
  OldestBaidu,
} from './fakes/wechat-compatible.js';
import { FakeJd } from './fakes/global-socket.js';
import { heard } from './fakes/heard.js';
import { FakeWechat } from './fakes/wechat.js';

const HOSTS: [string, () => FakeWechat, (api: FakeWechat) => Host][] = [
  ['wechat', () => new FakeWechat(), wechatHost],
  ['wechat game', () => new FakeWechat('game'), wechatHost],
  ['alipay', () => new FakeAlipay(), alipayHost],
  ['alipay, old', () => new OldAlipay(), alipayHost],
  ['baidu', () => new FakeBaidu(), baiduHost],
  ['baidu, older', () => new OlderBaidu(), baiduHost],
  ['baidu, oldest', () => new OldestBaidu(), baiduHost],
  ['douyin', () => new FakeDouyin(), douyinHost],
  ['qq', () => new FakeQq(), qqHost],
  ['kuaishou', () => new FakeKuaishou(), kuaishouHost],
  ['jd', () => new FakeJd(), jdHost],
];

/** Dials once and notes what the host reports. */
function dialled(wx: FakeWechat, make: (api: FakeWechat) => Host) {
  const { seen, tell } = heard();
  const host = make(wx);
  const socket = host.dial('wss://a.example/connect', 'tautline.v1.json', 1, tell);
  return { wx, host, socket, seen, task: wx.task };
}

for (const [name, fake, make] of HOSTS) {
  test(`${name}: open and text are told from the tick of the dial on, and what is sent arrives`, () => {
    const { task, socket, seen } = dialled(fake(), make);
    task.opens();
    task.receives('{"pong":{}}');
    socket.send('{"ping":{}}');
    assert.deepEqual(seen, ['open', '{"pong":{}}']);
    assert.deepEqual(task.sent, ['{"ping":{}}']);
    assert.deepEqual(task.connect.protocols, ['tautline.v1.json']);
  });

  test(`${name}: success, fail and complete are passed to every call`, () => {
    const { task, socket } = dialled(fake(), make);
    task.opens();
    socket.send('{}');
    socket.close(1000, '');
    for (const options of [task.connect, ...task.options]) {
      for (const callback of ['success', 'fail', 'complete'] as const)
        assert.equal(typeof options[callback], 'function');
    }
  });

  test(`${name}: an end is told once, however many events tell of it`, () => {
    const { wx, task, seen } = dialled(fake(), make);
    task.opens();
    task.errs('abnormal closure');
    task.closesWith(1006, 'abnormal closure');
    wx.emit('SocketClose', { code: 0, reason: 'interrupted' });
    const end = { reason: 'abnormal closure', cause: 'network_lost' };
    assert.deepEqual(seen.slice(1, 2), [{ code: undefined, ...end, held: true }], 'an error frees no slot');
    assert.equal(seen.length, 3, 'the close that follows does, and nothing after it is told');
    assert.equal((seen[2] as { held?: boolean }).held, undefined);
  });

  test(`${name}: a dial that throws, fails or is given up does no harm`, () => {
    const api = fake();
    api.throwsOnConnect = 'invalid url';
    const { seen, tell } = heard();
    make(api).dial('nonsense', 'tautline.v1.json', 1, tell).send('{}');
    assert.equal(seen.length, 1);
    const failed = dialled(fake(), make);
    failed.task.connect.fail?.({ errMsg: 'createSocketTask:fail url not in domain list' });
    failed.task.connect.fail?.({ errMsg: 'some hosts say it twice' });
    assert.deepEqual(
      failed.seen.map((one) => (one as { cause: string }).cause),
      ['domain_not_allowed'],
    );
    const given = dialled(fake(), make);
    given.socket.close(1000, '');
    given.task.opens();
    assert.deepEqual(given.seen, [], 'what opens after it was given up is closed again, and not told');
    assert.equal(given.task.closes.length, 2);
  });

  test(`${name}: a kill in the background that only the global event tells of ends the socket`, () => {
    const { wx, task, seen } = dialled(fake(), make);
    task.opens();
    wx.emit('SocketClose', { code: 0, reason: 'interrupted' });
    assert.equal((seen[1] as { cause: string }).cause, 'background');
  });

  test(`${name}: nothing is left behind when nobody watches any more`, () => {
    const api = fake();
    const { seen, tell } = heard();
    const stop = make(api).watch(tell);
    stop();
    seen.length = 0;
    for (const event of ['AppShow', 'AppHide', 'Show', 'Hide', 'NetworkStatusChange', 'NetworkWeakChange'])
      api.emit(event, {});
    assert.deepEqual(seen, []);
  });
}

test('douyin: a code that is a text is a number all the same', () => {
  const { task, seen } = dialled(new FakeDouyin(), douyinHost);
  task.opens();
  task.closesWith(4102, 'unauthorized');
  assert.deepEqual(seen[1], { code: 4102, reason: 'unauthorized', cause: undefined });
});

test('a weak network is told as one until it is said to be strong again, and 2G is weak by itself', () => {
  const wx = new FakeWechat();
  const weak: unknown[] = [];
  wechatHost(wx).watch((fact) => fact.type === 'network' && weak.push(fact.weak));
  wx.emit('NetworkWeakChange', { weakNet: true, networkType: '4g' });
  wx.emit('NetworkStatusChange', { isConnected: true, networkType: '4g' });
  wx.emit('NetworkWeakChange', { weakNet: false, networkType: '4g' });
  wx.emit('NetworkStatusChange', { isConnected: true, networkType: '2g' });
  assert.deepEqual(weak, [false, true, true, false, true]);
});
