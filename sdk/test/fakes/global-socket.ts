/** Hosts with one socket for the whole app, whose events come through the global object: JD, and old versions of others. */

import type { MiniTask } from '../../src/hosts/mini-api.js';
import { FakeTask, FakeWechat, type Callbacks, type ConnectOptions, type Listener } from './wechat.js';

const EVENTS = ['SocketOpen', 'SocketMessage', 'SocketError', 'SocketClose'];

/** A socket that nobody gets hold of: what happens to it is told globally, without saying to which. */
class UnseenTask extends FakeTask {
  constructor(
    options: ConnectOptions,
    private readonly api: GlobalSocketApi,
  ) {
    super(options);
  }
  override opens(): void {
    this.api.emit('SocketOpen', {});
  }
  override receives(data: unknown): void {
    this.api.emit('SocketMessage', { data });
  }
  override errs(errMsg: string): void {
    this.api.emit('SocketError', { errMsg });
  }
  override closesWith(code: number, reason: string): void {
    this.api.emit('SocketClose', { code, reason });
  }
}

/** A global object whose `connectSocket` returns nothing. `offs`: listeners can be taken off again. */
export class GlobalSocketApi extends FakeWechat {
  constructor(kind: 'program' | 'plugin' = 'program', offs = false) {
    super(kind);
    const hooks = this as unknown as { [name: string]: unknown };
    for (const event of EVENTS) {
      hooks['on' + event] = (listener: Listener<never>) => this.on(event, listener);
      if (offs) hooks['off' + event] = (listener: Listener<never>) => this.off(event, listener);
    }
  }
  override connectSocket(options: ConnectOptions): MiniTask | undefined {
    super.connectSocket(options);
    return undefined;
  }
  protected override newTask(options: ConnectOptions): FakeTask {
    return new UnseenTask(options, this);
  }
  sendSocketMessage(options: { data: unknown } & Callbacks): void {
    this.task.send(options);
  }
  closeSocket(options: Callbacks): void {
    this.task.close(options);
  }
}

/** JD as it was described: one socket, no life cycle. */
export class FakeJd extends GlobalSocketApi {
  constructor() {
    super('plugin');
  }
}
