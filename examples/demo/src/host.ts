/**
 * A phone for the SDK to run in: the browser's sockets, and a network and an owner that the page's switches play.
 *
 * Whether the real tab is visible is of no interest: two phones live in it.
 */

import { browserHost, type BrowserWindow, type Host, type Tell } from 'tautline';

export interface PhoneHost extends Host {
  /** The system tells its apps that the network is there, or gone. */
  tellNetwork(online: boolean): void;
}

export function phoneHost(): PhoneHost {
  let told: Tell | undefined;
  return {
    // The DOM's own types say more about handlers than the host asks for.
    ...browserHost(window as unknown as BrowserWindow),
    platform: 'demo',
    background: true,
    watch(tell) {
      told = tell;
      return () => (told = undefined);
    },
    tellNetwork: (online) => told?.({ type: 'network', online, kind: online ? 'wifi' : 'none' }),
  };
}
