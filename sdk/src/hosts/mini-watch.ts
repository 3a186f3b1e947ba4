/** What a mini program hears about itself and the network. */

import type { Tell } from '../host.js';
import type { MiniApi, MiniNetwork } from './mini-api.js';
import { noop } from './noop.js';

/** Puts a listener on (`prefix` is `on`) or takes it off, where the host has such an event. */
function hook(api: MiniApi, prefix: string, name: string, listener: unknown): void {
  const it = api as unknown as { [name: string]: ((listener: unknown) => void) | undefined };
  // A mini game has `onShow` where a mini program has `onAppShow`; a plugin has neither.
  const own = prefix + (it['onAppShow'] ? name : name.replace('App', ''));
  if (it[own]) it[own]!(listener);
}

/** Listens for the return of the app, or (`off`) no longer. */
export function hookShow(api: MiniApi, prefix: 'on' | 'off', listener: () => void): void {
  hook(api, prefix, 'AppShow', listener);
}

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
    if (api.getNetworkType) api.getNetworkType({ success: onNetwork, fail: noop, complete: noop });
  }
  function onShow(): void {
    tell({ type: 'show' });
    askNetwork();
  }
  function onHide(): void {
    tell({ type: 'hide' });
  }
  function hooks(prefix: 'on' | 'off'): void {
    hookShow(api, prefix, onShow);
    hook(api, prefix, 'AppHide', onHide);
    hook(api, prefix, 'NetworkStatusChange', onNetwork);
    hook(api, prefix, 'NetworkWeakChange', onNetwork);
  }
  hooks('on');
  askNetwork();
  return () => hooks('off');
}
