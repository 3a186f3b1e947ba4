/**
 * A scripted `wx`, written from what real hosts were seen to do. It does nothing by itself: a test plays the host.
 */

import type { MiniApi, MiniTask } from '../../src/hosts/mini-api.js';

export type Listener<T> = (value: T) => void;
export interface Callbacks {
  success?(result: unknown): void;
  fail?(error: { errMsg?: string }): void;
  complete?(): void;
}

/** One SocketTask. `listeners` are those that were put on in the same tick as `connectSocket`. */
export class FakeTask implements MiniTask {
  readonly sent: unknown[] = [];
  readonly closes: { code: number | undefined; reason: string | undefined }[] = [];
  readonly options: Callbacks[] = [];
  /** What `send` and `close` fail with; none: they succeed. */
  failsWith: string | undefined;
  /** Where a test joins it to a server: what was sent, and that it is to be closed. */
  onSend: ((data: unknown) => void) | undefined;
  onClosing: (() => void) | undefined;
  private open: Listener<object> = missed;
  protected message: Listener<{ data: unknown }> = missed;
  protected error: Listener<{ errMsg?: string }> = missed;
  protected closed: Listener<{ code?: number; reason?: string }> = missed;

  constructor(readonly connect: { url: string; protocols?: string[]; multiple?: boolean } & Callbacks) {}

  send(options: { data: unknown } & Callbacks): void {
    this.sent.push(options.data);
    this.settle(options);
    if (this.failsWith === undefined) this.onSend?.(options.data);
  }
  close(options: { code?: number; reason?: string } & Callbacks = {}): void {
    this.closes.push({ code: options.code, reason: options.reason });
    this.settle(options);
    if (this.failsWith === undefined) this.onClosing?.();
  }
  onOpen(listener: Listener<never>): void {
    this.open = listener as Listener<object>;
  }
  onMessage(listener: Listener<{ data: unknown }>): void {
    this.message = listener;
  }
  onError(listener: Listener<{ errMsg?: string }>): void {
    this.error = listener;
  }
  onClose(listener: Listener<{ code?: number; reason?: string }>): void {
    this.closed = listener;
  }

  opens(): void {
    this.open({ header: { server: 'test' } });
  }
  receives(data: unknown): void {
    this.message({ data });
  }
  receivesBytes(data: ArrayBuffer): void {
    this.receives(data);
  }
  errs(errMsg: string): void {
    this.error({ errMsg });
  }
  closesWith(code: number, reason: string): void {
    this.closed({ code, reason });
  }

  closesWithNothing(): void {
    this.closed(undefined as never);
  }

  private settle(options: Callbacks): void {
    this.options.push(options);
    if (this.failsWith === undefined) options.success?.({});
    else options.fail?.({ errMsg: this.failsWith });
    options.complete?.();
  }
}

function missed(): void {
  throw new Error('the listener was put on too late: the host has dropped this event');
}

/** What a host is asked to connect with. */
export type ConnectOptions = { url: string; protocols?: string[]; multiple?: boolean } & Callbacks;

/** The global `wx`. */
export class FakeWechat implements MiniApi {
  readonly tasks: FakeTask[] = [];
  /** What `connectSocket` throws; none: it returns a task. */
  throwsOnConnect: string | undefined;
  /** Where a test joins each dial to a server. */
  onDial: ((task: FakeTask) => void) | undefined;
  networkType = 'wifi';
  private readonly listeners: { [event: string]: Listener<never>[] } = {};

  /** `game`: a mini game's names for its life cycle. `plugin`: no life cycle at all. */
  constructor(readonly kind: 'program' | 'game' | 'plugin' = 'program') {
    const names = { program: ['AppShow', 'AppHide'], game: ['Show', 'Hide'], plugin: [] }[kind];
    for (const name of [...names, 'NetworkStatusChange', 'NetworkWeakChange']) {
      const hooks = this as unknown as { [name: string]: unknown };
      hooks['on' + name] = (listener: Listener<never>) => this.on(name, listener);
      hooks['off' + name] = (listener: Listener<never>) => this.off(name, listener);
    }
  }

  connectSocket(options: ConnectOptions): MiniTask | undefined {
    if (this.throwsOnConnect !== undefined) throw new Error(this.throwsOnConnect);
    const task = this.newTask(options);
    this.tasks.push(task);
    this.onDial?.(task);
    return task;
  }
  protected newTask(options: ConnectOptions): FakeTask {
    return new FakeTask(options);
  }
  onSocketClose(listener: Listener<never>): void {
    this.on('SocketClose', listener);
  }
  getNetworkType(options: Callbacks): void {
    options.success?.({ networkType: this.networkType });
    options.complete?.();
  }

  /** How many listen to `event` (`AppShow`, `SocketClose`, …). */
  listening(event: string): number {
    return (this.listeners[event] ?? []).length;
  }
  /** Tells everybody who listens to `event`. */
  emit(event: string, value?: unknown): void {
    for (const listener of [...(this.listeners[event] ?? [])]) listener(value as never);
  }
  /** The newest task. */
  get task(): FakeTask {
    return this.tasks[this.tasks.length - 1]!;
  }

  protected on(event: string, listener: Listener<never>): void {
    (this.listeners[event] ??= []).push(listener);
  }
  protected off(event: string, listener: Listener<never>): void {
    this.listeners[event] = (this.listeners[event] ?? []).filter((other) => other !== listener);
  }
}
