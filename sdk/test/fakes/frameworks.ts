/** Wrappers that are hosts of their own where nothing is underneath: uni-app's native apps, Taro elsewhere. */

import type { MiniTask } from '../../src/hosts/mini-api.js';
import { GlobalSocketApi } from './global-socket.js';
import { FakeTask, FakeWechat, type ConnectOptions } from './wechat.js';

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

/** A task that says how far it is, as those of Taro do. */
export class PromisedTask extends FakeTask {
  readyState = 0;
  override opens(): void {
    this.readyState = 1;
    super.opens();
  }
}

/** `Taro` where nothing else tells: no global events, and a promise that is kept a macrotask later. */
export class FakeTaroNative extends FakeWechat {
  readonly getEnv = (): string => 'RN';
  /** What the promise is broken with. */
  refuses: string | undefined;
  private keep!: () => void;
  /** The promise of a task was kept, or broken. */
  readonly kept = new Promise<void>((resolve) => (this.keep = resolve));
  constructor() {
    super('plugin');
  }
  override connectSocket(options: ConnectOptions): MiniTask | undefined {
    const task = super.connectSocket(options);
    const promised = new Promise((resolve, reject) => {
      const { refuses } = this;
      setTimeout(() => {
        if (refuses === undefined) resolve(task);
        else reject(new Error(refuses));
        this.keep();
      }, 0);
    });
    return promised as unknown as MiniTask;
  }
  protected override newTask(options: ConnectOptions): FakeTask {
    return new PromisedTask(options);
  }
}
