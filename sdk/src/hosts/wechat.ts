/**
 * WeChat: mini programs and mini games, over a SocketTask whose callbacks are not trusted.
 *
 * Every odd line here answers something the host was seen to do; `test/wechat.test.ts` names each.
 */

import type { Host, Socket, Tell } from '../host.js';
import type { DropCause } from '../vocabulary.js';
import { now, setTimer } from './clock.js';

/** All three are always passed: with one left out, some versions return a promise, or throw. */
interface Callbacks<T = unknown> {
  success?(result: T): void;
  fail?(error: WechatError): void;
  complete?(): void;
}
interface WechatError {
  errMsg?: string;
}
interface WechatClose {
  code?: number;
  reason?: string;
}
interface WechatNetwork {
  isConnected?: boolean;
  networkType?: string;
}

/** The part of WeChat's SocketTask that is used. */
export interface WechatSocketTask {
  send(options: { data: string } & Callbacks): void;
  close(options: { code: number; reason: string } & Callbacks): void;
  onOpen(listener: () => void): void;
  onMessage(listener: (message: { data: unknown }) => void): void;
  onError(listener: (error: WechatError) => void): void;
  onClose(listener: (close: WechatClose) => void): void;
}

/** The part of the global `wx` that is used; what older base libraries lack is optional. */
export interface Wechat {
  connectSocket(options: { url: string; protocols: string[]; tcpNoDelay: boolean } & Callbacks): WechatSocketTask;
  onSocketClose?(listener: (close: WechatClose) => void): void;
  onAppShow?(listener: () => void): void;
  offAppShow?(listener: () => void): void;
  onAppHide?(listener: () => void): void;
  offAppHide?(listener: () => void): void;
  onShow?(listener: () => void): void;
  offShow?(listener: () => void): void;
  onHide?(listener: () => void): void;
  offHide?(listener: () => void): void;
  getNetworkType?(options: Callbacks<WechatNetwork>): void;
  onNetworkStatusChange?(listener: (network: WechatNetwork) => void): void;
  offNetworkStatusChange?(listener: (network: WechatNetwork) => void): void;
  onNetworkWeakChange?(listener: (network: WechatNetwork) => void): void;
  offNetworkWeakChange?(listener: (network: WechatNetwork) => void): void;
}

/** What the host's words mean, the most telling first. */
const MEANINGS: { [cause in DropCause]?: RegExp } = {
  domain_not_allowed: /domain/,
  slots_exhausted: /exceed|同时|并行/,
  background: /interrupted/,
  tls_failed: /tls|ssl|cert/i,
  dns_failed: /dns|resolve/i,
  connect_timeout: /time/,
  refused: /refused|status/,
  network_lost: /network|abnormal|stream end|not /i,
};

/** The cause in an error message or close reason of WeChat's, where it tells. */
export function wechatCause(words: string): DropCause | undefined {
  const causes = Object.keys(MEANINGS) as DropCause[];
  return causes.filter((cause) => MEANINGS[cause]!.test(words))[0];
}

function nothing(): void {}

/** A host over `wx`, of a mini program or of a mini game. */
export function wechatHost(wx: Wechat): Host {
  /** Ends the newest socket; those before it are closing anyway. */
  let endNewest: (close: WechatClose) => void = nothing;
  // There is no way to take this listener off again. It does not say whose socket it means; but of an app in the
  // background the host interrupts all, and sometimes no task hears of it.
  if (wx.onSocketClose) {
    wx.onSocketClose((close) => {
      if (wechatCause(close.reason || '') === 'background') endNewest(close);
    });
  }

  function dial(url: string, protocol: string, socket: number, tell: Tell): Socket {
    let task: WechatSocketTask;
    let opened: boolean | undefined;
    let hungUp: boolean | undefined;
    let ended: boolean | undefined;

    // Called with nothing at all by some versions.
    function end(words?: WechatClose): void {
      const { code, reason: said } = words || {};
      const reason = said || '';
      if (ended) return;
      ended = true;
      tell({ type: 'socket_closed', socket, code, reason, cause: wechatCause(reason) });
      // Often an error is all that comes, and a task that is not closed keeps its slot.
      close(1000, '');
    }
    function failed(error?: WechatError): void {
      end({ reason: (error && error.errMsg) || String(error || '') });
    }
    function close(code: number, reason: string): void {
      hungUp = true;
      // It fails where the task was gone all along: then no other event will say so.
      attempt(() => task.close({ code, reason, success: nothing, fail: failed, complete: nothing }));
    }
    function attempt(act: () => void): void {
      try {
        act();
      } catch (error) {
        failed(error as WechatError);
      }
    }

    endNewest = end;
    attempt(() => {
      task = wx.connectSocket({
        url,
        protocols: [protocol],
        tcpNoDelay: true,
        success: nothing,
        // After `open` it contradicts itself; if the socket is dead, the heartbeat finds out.
        fail: (error) => opened || failed(error),
        complete: nothing,
      });
      // In this same tick: a listener that is put on later misses the event.
      task.onOpen(() => {
        opened = true;
        // A close while connecting fails, and the host goes on connecting.
        if (hungUp) close(1000, '');
        else tell({ type: 'socket_open', socket });
      });
      // Anything but text is not of the protocol, which is for the session to say.
      task.onMessage(({ data }) => tell({ type: 'socket_message', socket, text: String(data) }));
      task.onError(failed);
      task.onClose(end);
    });
    return {
      send: (data) => attempt(() => task.send({ data, success: nothing, fail: failed, complete: nothing })),
      close,
    };
  }

  function watch(tell: Tell): () => void {
    function onNetwork({ isConnected, networkType: kind }: WechatNetwork): void {
      // Some iPhones say `offline` where the documents say `none`.
      tell({ type: 'network', online: isConnected !== false && kind !== 'none' && kind !== 'offline', kind });
    }
    // Changes during the background, and some from mobile to Wi-Fi, are never announced.
    function askNetwork(): void {
      if (wx.getNetworkType) wx.getNetworkType({ success: onNetwork, fail: nothing, complete: nothing });
    }
    function onShow(): void {
      tell({ type: 'show' });
      askNetwork();
    }
    function onHide(): void {
      tell({ type: 'hide' });
    }
    // A mini game has `onShow` where a mini program has `onAppShow`; a plugin has neither.
    const app = wx.onAppShow ? 'App' : '';
    function hooks(prefix: string): void {
      hook(prefix + app + 'Show', onShow);
      hook(prefix + app + 'Hide', onHide);
      hook(prefix + 'NetworkStatusChange', onNetwork);
      hook(prefix + 'NetworkWeakChange', onNetwork);
    }
    function hook(name: string, listener: unknown): void {
      const it = (wx as unknown as { [name: string]: ((listener: unknown) => void) | undefined })[name];
      if (it) it(listener);
    }
    hooks('on');
    askNetwork();
    return () => hooks('off');
  }

  // The host allows five sockets; two leave the rest to the app.
  return { platform: 'wechat', slots: 2, background: true, dial, now, setTimer, watch };
}
