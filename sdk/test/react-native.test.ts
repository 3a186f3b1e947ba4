/** What the host of React Native makes of its WebSocket, AppState and NetInfo. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reactNativeHost, Tautline } from '../src/entries/react-native.js';
import { FakeWindow } from './fakes/browser.js';
import { heard } from './fakes/heard.js';

/** `AppState` as since 0.65, or, `old`, as before. */
class FakeAppState {
  currentState: string = 'active';
  listeners: ((state: string) => void)[] = [];
  addEventListener: (event: 'change', listener: (state: string) => void) => { remove(): void } | void;
  removeEventListener?: (event: 'change', listener: (state: string) => void) => void;

  constructor(old = false) {
    const remove = (listener: unknown): void => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
    this.addEventListener = (_event, listener) => {
      this.listeners.push(listener);
      return old ? undefined : { remove: () => remove(listener) };
    };
    if (old) this.removeEventListener = (_event, listener) => remove(listener);
  }
  goes(state: string): void {
    this.currentState = state;
    this.listeners.forEach((listener) => listener(state));
  }
}

class FakeNetInfo {
  listeners: ((state: object) => void)[] = [];
  addEventListener = (listener: (state: object) => void): (() => void) => {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  };
  says(state: object): void {
    this.listeners.forEach((listener) => listener(state));
  }
}

const { WebSocket } = new FakeWindow();

test('an app that goes to the background hides, and one that is only interrupted does not', () => {
  const AppState = new FakeAppState();
  const { seen, tell } = heard();
  const host = reactNativeHost({ AppState, WebSocket });
  const stop = host.watch(tell);
  for (const state of ['inactive', 'background', 'inactive', 'active', 'unknown']) AppState.goes(state);
  assert.deepEqual(seen, ['hide', 'show']);
  assert.equal(host.background, true);
  stop();
  assert.equal(AppState.listeners.length, 0);
});

test('an AppState from before 0.65 is listened to, and left, in its own way', () => {
  const AppState = new FakeAppState(true);
  const stop = reactNativeHost({ AppState, WebSocket }).watch(heard().tell);
  assert.equal(AppState.listeners.length, 1);
  stop();
  assert.equal(AppState.listeners.length, 0);
});

test('an app that a push has started in the background is hidden from the first moment', () => {
  const AppState = new FakeAppState();
  AppState.currentState = 'background';
  const { seen, tell } = heard();
  reactNativeHost({ AppState, WebSocket }).watch(tell);
  assert.deepEqual(seen, ['hide']);
});

test('a network that is not known yet is none that is gone', () => {
  const NetInfo = new FakeNetInfo();
  const { seen, tell } = heard();
  const weak: unknown[] = [];
  const stop = reactNativeHost({ NetInfo, WebSocket }).watch((fact) => {
    tell(fact);
    weak.push(fact.type === 'network' && fact.weak);
  });
  NetInfo.says({ type: 'unknown', isConnected: null, details: null });
  NetInfo.says({ type: 'wifi', isConnected: true, details: { ssid: 'x' } });
  NetInfo.says({ type: 'cellular', isConnected: true, details: { cellularGeneration: '2g' } });
  NetInfo.says({ type: 'none', isConnected: false, details: null });
  assert.deepEqual(seen, [
    [true, undefined],
    [true, 'wifi'],
    [true, 'cellular'],
    [false, 'none'],
  ]);
  assert.deepEqual(weak, [false, false, true, false]);
  stop();
  assert.equal(NetInfo.listeners.length, 0);
});

// React Native tells an error and then a close, whose reason are the words of the system.
for (const [reason, cause] of [
  ['Unable to resolve host "a.example": No address associated with hostname', 'dns_failed'],
  [
    'failed to connect to a.example/1.2.3.4 (port 443): isConnected failed: ECONNREFUSED (Connection refused)',
    'refused',
  ],
  ['The operation couldn’t be completed. Socket is not connected', 'network_lost'],
  ['Received bad response code from server: 403.', 'refused'],
  ['a.example said nothing', undefined],
] as const) {
  test(`the reason of a close has its cause: ${reason}`, () => {
    const window = new FakeWindow();
    const { seen, tell } = heard();
    reactNativeHost({ WebSocket: window.WebSocket }).dial(
      'wss://a.example/connect',
      'tautline.v1.json',
      1,
      tell,
    );
    const [socket] = window.sockets;
    socket!.onerror?.({ message: reason });
    socket!.onclose?.({ code: 1006, reason });
    assert.deepEqual(seen, [{ code: 1006, reason, cause }]);
  });
}

test("a server's own reason is no evidence, and an error without a close's reason is", () => {
  const closed = (code: number, reason: string, message?: string): unknown => {
    const window = new FakeWindow();
    const { seen, tell } = heard();
    reactNativeHost({ WebSocket: window.WebSocket }).dial(
      'wss://a.example/connect',
      'tautline.v1.json',
      1,
      tell,
    );
    window.sockets[0]!.onerror?.({ type: 'error', message });
    window.sockets[0]!.onclose?.({ code, reason });
    return (seen[0] as { cause?: string }).cause;
  };
  for (const reason of ['your timer was reset', 'upstream timed out', 'connection refused'])
    assert.equal(closed(1011, reason), undefined);
  assert.equal(closed(1006, ''), undefined);
  assert.equal(closed(1006, '', 'Connection reset by peer'), 'network_lost');
});

test('without a host, a line takes the global WebSocket and knows of no life cycle', () => {
  const here = globalThis as { WebSocket?: unknown };
  const before = here.WebSocket;
  here.WebSocket = WebSocket;
  try {
    const line = new Tautline({ url: 'wss://a.example/connect' });
    line.connect();
    line.notifyHide();
    assert.equal(line.state, 'connecting', 'the app has not said that its sockets die in the background');
    line.close();
    assert.equal(reactNativeHost().platform, 'react-native');
  } finally {
    if (before) here.WebSocket = before;
    else delete here.WebSocket;
  }
});
