/** Wrappers that are hosts of their own where nothing is underneath: uni-app's native apps, Taro elsewhere. */

import type { MiniTask } from '../../src/hosts/mini-api.js';
import { GlobalSocketApi } from './global-socket.js';
import { FakeWechat, type ConnectOptions } from './wechat.js';

/** `uni` in a native app: a task only where a callback is passed, errors without a close, no life cycle, failures told twice. */
export class FakeUniApp extends FakeWechat {
  constructor() {
    super('plugin');
  }
  override connectSocket(options: ConnectOptions): MiniTask | undefined {
    const task = super.connectSocket(options);
    return options.success || options.fail || options.complete ? task : undefined;
  }
  failsTwice(errMsg: string): void {
    this.task.connect.fail?.({ errMsg });
    this.task.connect.fail?.({ errMsg });
    this.task.errs(errMsg);
  }
}

/** `Taro`: a promise of a task, which comes after the events that it should tell of. */
export class FakeTaro extends GlobalSocketApi {
  readonly getEnv = (): string => 'RN';
  override connectSocket(options: ConnectOptions): MiniTask | undefined {
    super.connectSocket(options);
    return Promise.resolve(this.task) as unknown as MiniTask;
  }
}
