/** The apps in a real browser, and what their owners do with them. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, Page } from 'playwright-core';
import { WAIT_MS } from '../src/browser.ts';
// For the type of `window.phone`.
import type {} from './phone.ts';

/** Opens an app in a context of its own and waits until its line is online. */
export async function openApp(browser: Browser, url: string, query: Record<string, string>): Promise<Page> {
  const context = await browser.newContext();
  // One framework would ask its vendor for fonts and leave its statistics there.
  await context.route((to) => to.host !== new URL(url).host, (route) => route.abort());
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(`${url}/?${new URLSearchParams(query)}`);
  await untilState(page, 'online');
  return page;
}

export async function untilState(page: Page, state: string): Promise<void> {
  await wait(page, () => page.waitForFunction((state) => window.phone?.line.state === state, state));
}

/** Waits until the line has come back from a drop with this cause, which is newer than the first `before` drops. */
export async function untilBack(page: Page, cause: string, before: number): Promise<void> {
  await wait(page, () =>
    page.waitForFunction(
      ([cause, before]) => window.phone.drops.slice(before).includes(cause) && window.phone.line.state === 'online',
      [cause, before] as const,
    ),
  );
}

/** A wait that is in vain says where the phone stands: a time-out alone tells nobody anything. */
async function wait(page: Page, until: () => Promise<unknown>): Promise<void> {
  await until().catch(async (cause: Error) => {
    const said = await page.evaluate(() => {
      const { line, drops, life, errors } = window.phone;
      return JSON.stringify({ state: line.state, drops: drops.slice(-5), life: life.slice(-3), errors: errors.slice(0, 3) });
    });
    throw new Error(`the phone at ${page.url()} never got there: ${said}`, { cause });
  });
}

/** Tells the browser's page that it is hidden, or seen again; telling the app is for the framework to do. */
export async function look(page: Page, away: boolean): Promise<void> {
  await page.evaluate((away) => {
    const says = (name: string, value: unknown) => Object.defineProperty(document, name, { configurable: true, value });
    says('visibilityState', away ? 'hidden' : 'visible');
    says('hidden', away);
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }, away);
}

/**
 * What phones do to an app that is not seen: no code of it runs for so long, then all that is overdue at once. Headless
 * Chromium takes `Page.setWebLifecycleState` and lets timers go on; its debugger does stop them.
 */
export async function freeze(page: Page, forMs: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const paused = new Promise((resolve) => session.once('Debugger.paused', resolve));
  await session.send('Debugger.enable');
  await session.send('Debugger.pause');
  await paused;
  await sleep(forMs);
  await session.send('Debugger.resume');
  await session.detach();
}
