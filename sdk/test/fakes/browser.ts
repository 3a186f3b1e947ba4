/** A scripted window: sockets, events, visibility. It does nothing by itself: a test plays the browser. */

import type { BrowserSocket, BrowserWindow } from '../../src/hosts/browser.js';

/** Something with listeners. */
export class FakeTarget {
  readonly listeners: [string, () => void][] = [];
  addEventListener = (name: string, listener: () => void): void => {
    this.listeners.push([name, listener]);
  };
  removeEventListener = (name: string, listener: () => void): void => {
    const at = this.listeners.findIndex(([other, its]) => other === name && its === listener);
    this.listeners.splice(at, 1);
  };
  emit(name: string): void {
    for (const [other, listener] of [...this.listeners]) if (other === name) listener();
  }
}

/** One WebSocket. */
export class FakeBrowserSocket implements BrowserSocket {
  binaryType = 'blob';
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly sent: unknown[] = [];
  readonly closes: unknown[][] = [];
  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(...args: unknown[]): void {
    const [code = 1000] = args as [number?];
    if (code !== 1000 && code < 3000) throw new RangeError(`a page may not close with ${code}`);
    this.closes.push(args);
  }
}

/** The global object of a page. */
export class FakeWindow extends FakeTarget implements BrowserWindow {
  readonly sockets: FakeBrowserSocket[] = [];
  readonly WebSocket: BrowserWindow['WebSocket'];
  readonly document = Object.assign(new FakeTarget(), { visibilityState: 'visible' });
  readonly navigator = { onLine: true, connection: Object.assign(new FakeTarget(), { type: 'wifi' }) };

  constructor() {
    super();
    const sockets = this.sockets;
    this.WebSocket = class extends FakeBrowserSocket {
      constructor(url: string, protocols: string[]) {
        if (!url.startsWith('ws')) throw new SyntaxError('not a WebSocket URL');
        super(url, protocols);
        sockets.push(this);
      }
    };
  }
}
