/** What the WeChat host makes of each thing that WeChat was seen to do. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wechatHost } from '../src/hosts/wechat.js';
import { heard } from './fakes/heard.js';
import { FakeWechat } from './fakes/wechat.js';

/** Dials once and notes what the host reports. */
function dialled(wx = new FakeWechat()) {
  const { seen, tell } = heard();
  const host = wechatHost(wx);
  const socket = host.dial('wss://a.example/connect', 'tautline.v1.json', 1, tell);
  return { wx, host, socket, seen, task: wx.task };
}

/** Watches the app and notes what the host reports. */
function watched(wx = new FakeWechat()) {
  const { seen, tell } = heard();
  const stop = wechatHost(wx).watch(tell);
  return { wx, seen, stop };
}

test('a dial names the subprotocol and always passes success, fail and complete', () => {
  const { task } = dialled();
  assert.deepEqual(task.connect.protocols, ['tautline.v1.json']);
  for (const name of ['success', 'fail', 'complete'] as const)
    assert.equal(typeof task.connect[name], 'function');
});

test('sending and closing always pass success, fail and complete', () => {
  const { task, socket } = dialled();
  socket.send('{}');
  socket.close(1000, 'done');
  assert.deepEqual(task.sent, ['{}']);
  assert.deepEqual(task.closes, [{ code: 1000, reason: 'done' }]);
  for (const options of task.options) {
    for (const name of ['success', 'fail', 'complete'] as const)
      assert.equal(typeof options[name], 'function');
  }
});

test('every listener is on before the tick of the dial ends, so an early open is not missed', () => {
  const { task, seen } = dialled();
  task.opens();
  task.receives('{"pong":{}}');
  assert.deepEqual(seen, ['open', '{"pong":{}}']);
});

test('a close with 1000 or 0 and "interrupted" was the host killing the app in the background', () => {
  for (const code of [1000, 0]) {
    const { task, seen } = dialled();
    task.opens();
    task.closesWith(code, 'interrupted');
    assert.deepEqual(seen, ['open', { code, reason: 'interrupted', cause: 'background' }]);
  }
});

test('a kill in the background that only the global event tells of still ends the socket', () => {
  const { wx, task, seen } = dialled();
  task.opens();
  wx.emit('SocketClose', { code: 1000, reason: 'interrupted' });
  assert.deepEqual(seen, ['open', { code: 1000, reason: 'interrupted', cause: 'background' }]);
  assert.equal(task.closes.length, 1, 'the task is closed, so that its slot is free');
});

test('a kill that both events tell of is told once', () => {
  const { wx, task, seen } = dialled();
  task.closesWith(1000, 'interrupted');
  wx.emit('SocketClose', { code: 1000, reason: 'interrupted' });
  assert.equal(seen.length, 1);
});

test("the global close of some other socket of the app's does not end ours", () => {
  const { wx, task, seen } = dialled();
  task.opens();
  wx.emit('SocketClose', { code: 1000, reason: '' });
  assert.deepEqual(seen, ['open']);
});

test('one global listener serves every socket of a line, because it cannot be taken off', () => {
  const { wx, host } = dialled();
  host.dial('wss://a.example/connect', 'tautline.v1.json', 2, heard().tell);
  assert.equal(wx.listening('SocketClose'), 1);
});

test('an error without a close ends the connection and holds its slot', () => {
  const { task, socket, seen } = dialled();
  task.opens();
  task.errs('abnormal closure');
  task.errs('and once more');
  const end = { reason: 'abnormal closure', cause: 'network_lost' };
  assert.deepEqual(seen.slice(1), [{ code: undefined, ...end, held: true }]);
  socket.close(1000, '');
  assert.equal(seen.length, 2, 'until the host says that it is closed');
  task.closesWith(1006, 'abnormal closure');
  assert.deepEqual(seen[2], { code: 1006, ...end });
});

test('a dial that fails ends the socket with what the host said', () => {
  const { task, seen } = dialled();
  task.connect.fail?.({ errMsg: 'createSocketTask:fail url not in domain list' });
  assert.deepEqual(seen, [
    { code: undefined, reason: 'createSocketTask:fail url not in domain list', cause: 'domain_not_allowed' },
  ]);
});

test('a failure of the dial that comes after it has opened is left to the heartbeat', () => {
  const { task, seen } = dialled();
  task.opens();
  task.connect.fail?.({ errMsg: 'connectSocket:fail' });
  assert.deepEqual(seen, ['open']);
});

test('a dial that throws ends the socket instead', () => {
  const wx = new FakeWechat();
  wx.throwsOnConnect = 'invalid url';
  const { seen, tell } = heard();
  const socket = wechatHost(wx).dial('nonsense', 'tautline.v1.json', 1, tell);
  assert.deepEqual(seen, [{ code: undefined, reason: 'invalid url', cause: undefined }]);
  socket.send('{}');
  socket.close(1000, '');
  assert.equal(seen.length, 1, 'what is done to it afterwards has no effect');
});

test('a send that fails on a task that is no longer open means that its close was never delivered', () => {
  const { task, socket, seen } = dialled();
  task.opens();
  task.failsWith = 'SocketTask.send:fail SocketTask.readyState is not OPEN';
  socket.send('{}');
  assert.deepEqual(seen[1], { code: undefined, reason: task.failsWith, cause: 'network_lost', held: true });
});

test('a close of a task that does not exist any more counts as its close', () => {
  const { task, socket, seen } = dialled();
  task.opens();
  task.failsWith = 'closeSocket:fail wcwss taskID not exist';
  socket.close(1000, '');
  assert.deepEqual(seen[1], { code: undefined, reason: task.failsWith, cause: 'network_lost' });
});

test('a task that was closed while connecting and opens after all is closed again', () => {
  const { task, socket, seen } = dialled();
  task.failsWith = 'closeSocket:fail WebSocket is not connected';
  socket.close(1000, '');
  assert.deepEqual(seen, [], 'the host goes on connecting, and counts it');
  task.failsWith = undefined;
  task.opens();
  assert.equal(task.closes.length, 2);
  task.closesWith(1000, '');
  assert.deepEqual(seen, [{ code: 1000, reason: '', cause: undefined }]);
});

test('a socket that opens after it was given up is closed, and its opening is not told', () => {
  const { task, seen } = dialled();
  task.closesWith(1006, '');
  task.opens();
  assert.equal(seen.length, 1);
  assert.equal(task.closes.length, 2);
});

test('callbacks that come without a word still end the socket', () => {
  const closed = dialled();
  closed.task.closesWithNothing();
  assert.deepEqual(closed.seen, [{ code: undefined, reason: '', cause: undefined }]);
  const failed = dialled();
  failed.task.connect.fail?.(undefined as never);
  assert.equal(failed.seen.length, 1);
});

test('a mini program is watched by onAppShow and onAppHide, a mini game by onShow and onHide', () => {
  for (const [kind, prefix] of [
    ['program', 'App'],
    ['game', ''],
  ] as const) {
    const { wx, seen } = watched(new FakeWechat(kind));
    seen.length = 0;
    wx.emit(prefix + 'Hide');
    wx.emit(prefix + 'Show');
    assert.deepEqual(seen, ['hide', 'show', [true, 'wifi']]);
  }
});

test('a plugin has no life cycle, and the host makes do', () => {
  const { seen } = watched(new FakeWechat('plugin'));
  assert.deepEqual(seen, [[true, 'wifi']]);
});

test('"none" and the "offline" of iPhones both mean no network', () => {
  const { wx, seen } = watched();
  seen.length = 0;
  wx.emit('NetworkStatusChange', { isConnected: true, networkType: 'offline' });
  wx.emit('NetworkStatusChange', { isConnected: false, networkType: 'none' });
  wx.emit('NetworkStatusChange', { isConnected: true, networkType: '5g' });
  assert.deepEqual(seen, [
    [false, 'offline'],
    [false, 'none'],
    [true, '5g'],
  ]);
});

test('the network is asked for on show, because changes in the background are never announced', () => {
  const { wx, seen } = watched();
  seen.length = 0;
  wx.networkType = '4g';
  wx.emit('AppShow');
  assert.deepEqual(seen, ['show', [true, '4g']]);
});

test('a weak network tells its type too, in case no change was announced', () => {
  const { wx, seen } = watched();
  seen.length = 0;
  wx.emit('NetworkWeakChange', { weakNet: false, networkType: 'wifi' });
  assert.deepEqual(seen, [[true, 'wifi']]);
});

test('a host that is no longer watched is silent and leaves no listener behind', () => {
  const { wx, seen, stop } = watched();
  stop();
  seen.length = 0;
  for (const event of ['AppShow', 'AppHide', 'NetworkStatusChange', 'NetworkWeakChange']) {
    assert.equal(wx.listening(event), 0, event);
    wx.emit(event, {});
  }
  assert.deepEqual(seen, []);
});
