/** Scripted hosts that copy WeChat: each with what it does otherwise. */

import { GlobalSocketApi } from './global-socket.js';
import { FakeTask, FakeWechat, type ConnectOptions } from './wechat.js';

/** `tt`. */
class DouyinTask extends FakeTask {
  /** Its code may be a text. */
  override closesWith(code: number, reason: string): void {
    this.closed({ code: String(code), reason, errMsg: '', protocolType: '', socketType: 'ttnet' } as never);
  }
}
export class FakeDouyin extends FakeWechat {
  protected override newTask(options: ConnectOptions): FakeTask {
    return new DouyinTask(options);
  }
}

/** `qq`. */
export class FakeQq extends FakeWechat {}

/** `ks`. */
export class FakeKuaishou extends FakeWechat {}

/** `swan` from base library 3.60.2. */
export class FakeBaidu extends FakeWechat {}

/** `swan` before 3.60.2: no life cycle. */
export class OlderBaidu extends FakeWechat {
  constructor() {
    super('plugin');
  }
}

/** `swan` before 1.9.4: no tasks either. */
export class OldestBaidu extends GlobalSocketApi {
  constructor() {
    super('plugin');
  }
}
