/** A scripted `my`: messages in a box, bytes as base64, closes without a code, numbers for errors, networks in capitals. */

import { GlobalSocketApi } from './global-socket.js';
import { FakeTask, FakeWechat, type ConnectOptions } from './wechat.js';

function unpacked(base64: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(base64, 'base64')).buffer;
}

/** A task of `multiple: true`. */
export class AlipayTask extends FakeTask {
  /** What was sent, as it was given: `isBuffer` with bytes. */
  readonly packed: object[] = [];
  override send(options: { data: unknown; isBuffer?: boolean } & Parameters<FakeTask['send']>[0]): void {
    this.packed.push({ data: options.data, isBuffer: options.isBuffer });
    super.send(options.isBuffer ? { ...options, data: unpacked(options.data as string) } : options);
  }
  override receives(data: unknown): void {
    this.message({ data: { data, isBuffer: false, socketTaskID: '1' } });
  }
  override receivesBytes(bytes: unknown): void {
    const data = typeof bytes === 'string' ? bytes : Buffer.from(bytes as ArrayBuffer).toString('base64');
    this.message({ data: { data, isBuffer: true, socketTaskID: '1' } });
  }
  /** The host never gives codes to this event. */
  override closesWith(): void {
    this.closed({ data: { socketTaskID: '1' } } as never);
  }
  /** Its error events have a number and no words. */
  errsWith(error: number): void {
    this.error({ data: { socketTaskID: '1' }, error } as never);
  }
  fails(error: number, errorMessage: string): void {
    this.connect.fail?.({ error, errorMessage } as never);
  }
}

/** `my` as it is. */
export class FakeAlipay extends FakeWechat {
  override networkType = 'WIFI';
  override connectSocket(options: ConnectOptions): ReturnType<FakeWechat['connectSocket']> {
    const task = super.connectSocket(options);
    // Without the plural there is one socket for the whole app, and nothing is returned.
    return options.multiple ? task : undefined;
  }
  protected override newTask(options: ConnectOptions): FakeTask {
    return new AlipayTask(options);
  }
}

/** `my` before it knew the plural, where listeners can be taken off again. */
export class OldAlipay extends GlobalSocketApi {
  constructor() {
    super('program', true);
  }
}
