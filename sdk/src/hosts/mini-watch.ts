/** What a mini program hears about itself and the network. */

import type { Tell } from '../host.js';
import type { MiniApi, MiniNetwork } from './mini-api.js';
import { nothing } from './nothing.js';

/** Tells about the app and the network until the result is called. */
export function watchMini(api: MiniApi, tell: Tell): () => void {
  let weak: boolean | undefined;

  function onNetwork({ isConnected, networkType: kind, weakNet }: MiniNetwork): void {
    if (weakNet !== undefined) weak = weakNet;
    // Some iPhones say `offline` where the documents say `none`, and Alipay says NOTREACHABLE.
    const online = isConnected !== false && !/^(none|offline|notreachable)$/i.test(kind!);
    tell({ type: 'network', online, kind, weak: weak || /^2g/i.test(kind!) });
  }
  // Changes during the background, and some from mobile to Wi-Fi, are never announced.
  function askNetwork(): void {
    if (api.getNetworkType) api.getNetworkType({ success: onNetwork, fail: nothing, complete: nothing });
  }
  function onShow(): void {
    tell({ type: 'show' });
    askNetwork();
  }
  function onHide(): void {
    tell({ type: 'hide' });
  }
  // A mini game has `onShow` where a mini program has `onAppShow`; a plugin has neither.
  const app = api.onAppShow ? 'App' : '';
  function hooks(prefix: string): void {
    hook(prefix + app + 'Show', onShow);
    hook(prefix + app + 'Hide', onHide);
    hook(prefix + 'NetworkStatusChange', onNetwork);
    hook(prefix + 'NetworkWeakChange', onNetwork);
  }
  function hook(name: string, listener: unknown): void {
    const it = api as unknown as { [name: string]: ((listener: unknown) => void) | undefined };
    if (it[name]) it[name]!(listener);
  }
  hooks('on');
  askNetwork();
  return () => hooks('off');
}
