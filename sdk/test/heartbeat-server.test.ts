/** `tautline/heartbeat` against a real server, which is not Tautline's: the heartbeat keeps it, and finds its silence out. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { WebsocketHeartbeat } from '../src/entries/heartbeat.js';
import { nodeHost } from '../src/hosts/browser.js';

test('a server that answers keeps its connection, and one that falls silent is left for a new connection', async () => {
  const server = new WebSocketServer({ port: 0 });
  await once(server, 'listening');
  let silent = false;
  let connections = 0;
  const beats: string[] = [];
  server.on('connection', (socket) => {
    connections++;
    silent = false;
    socket.on('message', (data) => {
      beats.push(String(data));
      if (!silent) socket.send('pong');
    });
  });
  const task = await WebsocketHeartbeat({
    connectSocketParams: { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` },
    host: nodeHost(WebSocket),
    pingMsg: 'ping',
    pingTimeout: 10,
    pongTimeout: 200,
    reconnectTimeout: 1,
  });
  await new Promise<void>((resolve) => {
    let answers = 0;
    task.onMessage = () => {
      if (++answers === 3) resolve();
    };
  });
  assert.equal(connections, 1);
  silent = true;
  await new Promise<void>((resolve) => {
    task.onOpen = () => resolve();
  });
  assert.equal(connections, 2);
  assert.ok(beats.every((beat) => beat === 'ping'));
  const closed = new Promise((resolve) => {
    task.onClose = resolve;
  });
  task.close();
  assert.deepEqual(await closed, { code: 1000, reason: '' });
  server.close();
});

test('a server that is not there yet is waited for', async () => {
  const first = new WebSocketServer({ port: 0 });
  await once(first, 'listening');
  const { port } = first.address() as AddressInfo;
  await new Promise((resolve) => first.close(resolve));
  const task = await WebsocketHeartbeat({
    connectSocketParams: { url: `ws://127.0.0.1:${port}` },
    host: nodeHost(WebSocket),
    reconnectTimeout: 5,
  });
  await new Promise<void>((resolve) => {
    task.onReconnect = resolve;
  });
  const server = new WebSocketServer({ port });
  await new Promise<void>((resolve) => {
    task.onOpen = () => resolve();
  });
  task.close();
  server.close();
});
