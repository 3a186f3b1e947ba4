/** What the browser host makes of what browsers do. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from 'node:net';
import { WebSocket } from 'ws';
import { browserHost, nodeHost, type BrowserWindow } from '../src/hosts/browser.js';
import { FakeWindow } from './fakes/browser.js';
import { heard } from './fakes/heard.js';

function dialled(url = 'wss://a.example/connect') {
  const window = new FakeWindow();
  const { seen, tell } = heard();
  const socket = browserHost(window).dial(url, 'tautline.v1.json', 1, tell);
  return { window, socket, seen, its: window.sockets[0]! };
}

function watched() {
  const window = new FakeWindow();
  const { seen, tell } = heard();
  const stop = browserHost(window).watch(tell);
  seen.length = 0;
  return { window, seen, stop };
}

test('a socket asks for the subprotocol and never for blobs', () => {
  const { its } = dialled();
  assert.deepEqual(its.protocols, ['tautline.v1.json']);
  assert.equal(its.binaryType, 'arraybuffer');
});

test('open, text and close are passed on, with the raw code and reason', () => {
  const { its, seen } = dialled();
  its.onopen?.();
  its.onmessage?.({ data: '{}' });
  its.onclose?.({ code: 4001, reason: 'server_restart' });
  assert.deepEqual(seen, ['open', '{}', { code: 4001, reason: 'server_restart', cause: undefined }]);
});

test('a binary message, which the json format has none of, is passed on as something that is no packet', () => {
  const { its, seen } = dialled();
  its.onmessage?.({ data: new ArrayBuffer(1) });
  assert.deepEqual(seen, ['[object ArrayBuffer]']);
});

test('in Node an error has words, which are the reason of the close', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const { seen, tell } = heard();
  await new Promise<void>((resolve) => {
    nodeHost(WebSocket as unknown as BrowserWindow['WebSocket']).dial(
      `ws://127.0.0.1:${port}/reset`,
      'tautline.v1.json',
      1,
      (fact) => {
        tell(fact);
        resolve();
      },
    );
  });
  assert.deepEqual(seen, [
    { code: 1006, reason: `connect ECONNREFUSED 127.0.0.1:${port}`, cause: undefined },
  ]);
});

test('a close while the browser says it is offline is the loss of the network', () => {
  const { window, its, seen } = dialled();
  window.navigator.onLine = false;
  its.onclose?.({ code: 1006, reason: '' });
  assert.deepEqual(seen, [{ code: 1006, reason: '', cause: 'network_lost' }]);
});

test('an address that the browser refuses ends the socket and does not throw', () => {
  const { socket, seen } = dialled('nonsense');
  socket.send('{}');
  socket.close(1000, '');
  assert.deepEqual(seen, [{ code: undefined, reason: 'SyntaxError: not a WebSocket URL', cause: 'refused' }]);
});

test('a page that is hidden, frozen or left is hidden, and shown when it comes back', () => {
  const { window, seen } = watched();
  window.document.visibilityState = 'hidden';
  window.document.emit('visibilitychange');
  window.document.visibilityState = 'visible';
  window.document.emit('visibilitychange');
  window.document.emit('freeze');
  window.document.emit('resume');
  window.emit('pagehide');
  window.emit('pageshow');
  assert.deepEqual(seen, ['hide', 'show', 'hide', 'show', 'hide', 'show']);
});

test('going offline, online and from one network to another are told', () => {
  const { window, seen } = watched();
  window.navigator.onLine = false;
  window.emit('offline');
  window.navigator.onLine = true;
  window.emit('online');
  window.navigator.connection.type = 'cellular';
  window.navigator.connection.emit('change');
  assert.deepEqual(seen, [
    [false, 'wifi'],
    [true, 'wifi'],
    [true, 'cellular'],
  ]);
});

test('a browser that is no longer watched has no listener left', () => {
  const { window, stop } = watched();
  stop();
  const left = [window, window.document, window.navigator.connection].map(
    (target) => target.listeners.length,
  );
  assert.deepEqual(left, [0, 0, 0]);
});

test('a worker, without page or network hooks, is a host too', () => {
  const { WebSocket } = new FakeWindow();
  const { seen, tell } = heard();
  const stop = browserHost({ WebSocket }).watch(tell);
  stop();
  assert.deepEqual(seen, [[true, undefined]]);
});

test('a code that pages may not use closes the socket all the same', () => {
  const { socket, its } = dialled();
  socket.close(1001, 'leaving');
  socket.close(4000, 'bye');
  assert.deepEqual(its.closes, [[], [4000, 'bye']]);
});

test('what a browser calls 2g is a weak network', () => {
  const window = new FakeWindow();
  const weak: unknown[] = [];
  browserHost(window).watch((fact) => fact.type === 'network' && weak.push(fact.weak));
  Object.assign(window.navigator.connection, { effectiveType: 'slow-2g' });
  window.navigator.connection.emit('change');
  Object.assign(window.navigator.connection, { effectiveType: '4g' });
  window.navigator.connection.emit('change');
  assert.deepEqual(weak, [false, true, false]);
});

test('bytes are handed on as they came, beside the text that they are not', () => {
  const window = new FakeWindow();
  const data: unknown[] = [];
  browserHost(window).dial(
    'wss://a.example',
    undefined,
    1,
    (fact) => fact.type === 'socket_message' && data.push(fact.data),
  );
  const bytes = new ArrayBuffer(2);
  window.sockets[0]!.onmessage?.({ data: bytes });
  assert.equal(data[0], bytes);
  assert.deepEqual(window.sockets[0]!.protocols, []);
});
