/** The console's pages in a real browser: each screen in both languages, both sizes and both themes, over made-up data. */

import assert from 'node:assert/strict';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { test, type TestContext } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { WAIT_MS, startBrowser } from '../src/browser.ts';
import { TOP, startGateway } from '../src/process.ts';

interface Fake {
  url: string;
  state: {
    log: { data: unknown }[];
    audit: { act: string; reason: string; target: string }[];
    failing: boolean;
  };
  close(): Promise<void>;
}
type Options = {
  sessions?: number;
  gateway?: string;
  setup?: boolean; calm?: boolean;
  prefix?: string;
};

const SHOTS = `${TOP}/e2e/build/console`;
/** `PICTURE_OF_CONSOLE=docs/console.png` takes the one of the README anew. */
const PICTURE = `${TOP}/${process.env['PICTURE_OF_CONSOLE'] ?? 'e2e/build/console.png'}`;
const PICTURE_BYTES_MAX = 500_000;
const SIZES = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
};
const SHOWN_MS_MAX = 500;
const HOSTILE = '<img/src=x/onerror=window.hacked=1>';

/** Where each screen is, and something that is there once it has its data. */
const SCREENS: Record<string, [hash: string, shown: string]> = {
  overview: ['#/overview', '.bars .fill'],
  sessions: ['#/sessions', '.rows tbody td'],
  user: ['#/users/ann', '.story li'],
  channel: ['#/channels/room:7', '.log li'],
  hooks: ['#/hooks', 'tbody .acts'],
  control: ['#/control', '.meter-cell .meter'],
  audit: ['#/audit', '.state'],
  phone: ['#/phone', '.stack input'],
};

async function startFake(t: TestContext, options: Options = {}): Promise<Fake> {
  // Not bundled: it stands beside the pages.
  const file = pathToFileURL(`${TOP}/console/dev/fake.mjs`).href;
  const module = (await import(file)) as {
    startFake(options: Options & { dist: string }): Promise<Fake>;
  };
  const fake = await module.startFake({
    dist: `${TOP}/console/dist`,
    ...options,
  });
  t.after(() => fake.close());
  return fake;
}

interface View {
  size?: keyof typeof SIZES;
  locale?: string;
  scheme?: 'light' | 'dark';
}

/** A page in a context of its own, which fails the test where it breaks the policy or throws. */
async function openPage(t: TestContext, browser: Browser, url: string, view: View = {}): Promise<Page> {
  const { size = 'desktop', locale = 'en', scheme = 'light' } = view;
  const context = await browser.newContext({
    viewport: SIZES[size],
    locale,
    colorScheme: scheme,
  });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    // A refused request is an answer as any other: a browser writes it down nevertheless.
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(text)) faults.push(text);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith('data:')) faults.push(`outside: ${request.url()}`);
  });
  t.after(() => assert.deepEqual(faults, [], 'no error, no breach of the policy, no outside request'));
  await page.goto(url);
  return page;
}

async function signIn(page: Page, name = 'admin'): Promise<void> {
  await page.locator('input[autocomplete="username"]').fill(name);
  await page.locator('input[type="password"]').fill('console');
  await page.locator('form button').click();
  await page.locator('#main h1').waitFor();
}

async function go(page: Page, screen: string): Promise<void> {
  const [hash, shown] = SCREENS[screen]!;
  await page.evaluate((hash) => (location.hash = hash), hash);
  await page.locator(shown).first().waitFor();
}

const AXE = createRequire(`${TOP}/e2e/package.json`).resolve('axe-core/axe.min.js');

/** What axe-core finds serious or worse. */
async function faultsOf(page: Page): Promise<string[]> {
  // By the debugger: the policy of the page admits no script.
  await page.evaluate(await readFile(AXE, 'utf8'));
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(): Promise<{ violations: Violation[] }> };
    };
    interface Violation {
      id: string;
      impact: string;
      nodes: { html: string; failureSummary: string }[];
    }
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`));
  });
}

for (const size of ['desktop', 'phone'] as const)
  for (const locale of ['en', 'zh-CN'])
    test(`each screen on a ${size} in ${locale} is whole`, async (t) => {
      await mkdir(SHOTS, { recursive: true });
      const fake = await startFake(t);
      const browser = await startBrowser(t);
      // Both themes are looked at: one in each language.
      const scheme = (size === 'desktop') === (locale === 'en') ? 'light' : 'dark';
      const page = await openPage(t, browser, fake.url, {
        size,
        locale,
        scheme,
      });
      await page.locator('input[type="password"]').waitFor();
      await page.screenshot({ path: `${SHOTS}/sign-in-${size}-${locale}.png` });
      assert.deepEqual(await faultsOf(page), [], 'sign-in');
      await signIn(page);
      for (const screen of Object.keys(SCREENS)) {
        await go(page, screen);
        if (screen === 'overview') await page.waitForTimeout(Number(process.env['CHARTS_MS'] ?? 0));
        await page.screenshot({
          path: `${SHOTS}/${screen}-${size}-${locale}.png`,
          fullPage: screen !== 'sessions',
        });
        // In English, which is either theme once.
        if (locale === 'en') assert.deepEqual(await faultsOf(page), [], screen);
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= SIZES[size].width, `${screen} fits`);
        const words = await page.locator('#main').innerText();
        const isChinese = /[\u4e00-\u9fff]/.test(await page.locator('nav').first().innerText());
        assert.equal(isChinese, locale === 'zh-CN', screen);
        assert.doesNotMatch(words, /undefined|NaN|\[object/, screen);
      }
      assert.equal(await page.evaluate(() => 'hacked' in window), false, 'what a peer says is text');
      assert.equal(await page.evaluate(() => document.documentElement.lang), locale);
    });

test('hundred thousand sessions are searched and scrolled in time', async (t) => {
  const fake = await startFake(t, {
    sessions: 100_000,
    prefix: '/ops/tautline/console',
  });
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await signIn(page);
  await go(page, 'sessions');
  await page.getByText('100,000 in all').waitFor();
  const rows = page.locator('.rows tbody tr:not(.spacer)');
  const search = async (label: string, text: string) => {
    await page.getByRole('search').getByLabel(label, { exact: true }).fill(text);
    const [response] = await Promise.all([
      page.waitForResponse((response) => response.url().includes('/sessions')),
      page.getByRole('button', { name: 'Search' }).click(),
    ]);
    await response.finished();
    // What the page itself takes: the stand-in is no measure of the gateway.
    const began = Date.now();
    await page
      .getByRole('status')
      .getByText(/found|first/)
      .waitFor();
    const ms = Date.now() - began;
    await page.getByRole('button', { name: 'Clear' }).click();
    return ms;
  };
  await search('Platform', 'wechat');
  for (const [label, text] of [
    ['User or session', 'u60000'],
    ['Address', '203.0.113.9'],
    ['Label', 'team:kitchen'],
    ['SDK', 'tautline-rust'],
  ])
    assert.ok((await search(label!, text!)) < SHOWN_MS_MAX, `${label} is shown within ${SHOWN_MS_MAX} ms`);
  // Far down: more pages come as they near, and only the rows in sight are there.
  for (let turn = 0; turn < 8; turn++) {
    const before = await page.locator('.rows').evaluate((it) => it.scrollHeight);
    await page.locator('.rows').evaluate((it) => it.scrollTo(0, it.scrollHeight));
    await page.waitForFunction((before) => document.querySelector('.rows')!.scrollHeight > before, before);
  }
  await page.waitForFunction(() => Number(document.querySelector('.rows tbody tr:nth-last-child(2)')?.ariaRowIndex) > 1_500);
  assert.ok((await rows.count()) < 80, 'rows out of sight do not exist');
  // A session's id finds it, too.
  const id = await rows.first().locator('button').innerText();
  await page.getByLabel('User or session').fill(id);
  await page.getByLabel('User or session').press('Enter');
  await page.getByText('1 found').waitFor();
  await rows.first().locator('button').click();
  await page.getByRole('dialog').getByText(id).waitFor();
});

test('acts ask for a reason, and it reaches the audit log', async (t) => {
  const fake = await startFake(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await signIn(page);
  await go(page, 'user');
  const act = async (button: string, fill?: () => Promise<void>) => {
    await page
      .getByRole('button', { name: `${button}…`, exact: true })
      .first()
      .click();
    const dialog = page.getByRole('dialog').last();
    await fill?.();
    await dialog.getByLabel('Reason').fill(`因为 ${HOSTILE}`);
    await dialog.getByRole('button', { name: button, exact: true }).click();
    await page.getByRole('status').getByText(`${button}: done`).last().waitFor();
  };
  await page.getByRole('button', { name: 'Kick…' }).click();
  await page.getByRole('dialog').getByLabel('Reason').fill('  ');
  await page.getByRole('dialog').getByRole('button', { name: 'Kick' }).click();
  assert.equal(fake.state.audit.length, 0, 'without a reason nothing is done');
  await page.keyboard.press('Escape');
  await act('Kick');
  await act('Ban');
  await act('Push', async () => page.getByLabel('Payload').fill(HOSTILE));
  await go(page, 'channel');
  await act('Recall');
  await act('Publish', async () => page.getByLabel('Payload').fill('{"n":1}'));
  await page.locator('.log .recalled').first().waitFor();
  await go(page, 'hooks');
  await act('Replay', async () => page.getByLabel('From offset').fill('5'));
  await act('Switch off');
  await go(page, 'control');
  await act('Lift ban');
  await act('Drain');
  await page.locator('progress').waitFor();
  await page.evaluate(() => (location.hash = '#/audit'));
  await page.locator('tbody tr').nth(8).waitFor();
  await page.screenshot({ path: `${SHOTS}/audit-filled.png` });
  const acts = fake.state.audit.map(({ act }) => act).reverse();
  assert.deepEqual(acts, ['kick', 'ban', 'push', 'publish', 'publish', 'webhooks/replay', 'webhooks/disable', 'unban', 'drain']);
  assert.ok(fake.state.audit.every(({ reason }) => reason === `因为 ${HOSTILE}`));
  assert.equal(await page.evaluate(() => 'hacked' in window), false);
});

test('account that may only read is offered no act', async (t) => {
  const fake = await startFake(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await signIn(page, 'viewer');
  for (const screen of ['user', 'channel', 'control', 'overview']) {
    await go(page, screen);
    assert.equal(await page.getByRole('button', { name: '…' }).count(), 0, screen);
  }
  await page.evaluate(() => (location.hash = '#/phone'));
  await page.getByText('Your account may read, not act.').waitFor();
});

test('failures, setup and a lost session say what to do', async (t) => {
  const fake = await startFake(t, { setup: true });
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await page.getByText('tautline admin set-password').waitFor();
  await page.screenshot({ path: `${SHOTS}/setup.png` });
  await page.getByLabel('Account').fill('admin');
  await page.getByLabel('Password').fill('wrong');
  await page.getByLabel('Password').press('Enter');
  await page.getByRole('alert').getByText('wrong').waitFor();
  await signIn(page);
  await go(page, 'overview');
  fake.state.failing = true;
  await page.getByText('the engine is unavailable').waitFor();
  await page.evaluate(() => (location.hash = '#/audit'));
  await page.getByRole('button', { name: 'Try again' }).waitFor();
  fake.state.failing = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('No act yet.').waitFor();
  // Signed out elsewhere: the page asks for a login, and nothing of before is seen.
  await page.context().clearCookies();
  await page.evaluate(() => (location.hash = '#/sessions'));
  await page.getByLabel('Password').waitFor();
  assert.equal(await page.locator('.rows').count(), 0);
});

test('keyboard alone reaches screens, theme and dialogs', async (t) => {
  const fake = await startFake(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await page.getByLabel('Account').focus();
  for (const text of ['admin', 'console']) {
    await page.keyboard.type(text);
    await page.keyboard.press(text === 'admin' ? 'Tab' : 'Enter');
  }
  await page.locator('#main h1').waitFor();
  await page.keyboard.press('Tab');
  await page.getByText('Skip to content').waitFor();
  await page.getByRole('link', { name: 'Control' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Control' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main', 'a reader is taken to the new screen');
  await page.getByRole('button', { name: 'Drain…' }).focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.closest('dialog') !== null), true);
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('dialog').count(), 0);
  const theme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  const before = await theme();
  for (let turn = 0; turn < 2; turn++) await page.getByRole('button', { name: /Theme/ }).press('Enter');
  assert.notEqual(await theme(), before);
  await page.getByRole('button', { name: '中文' }).press('Enter');
  await page.getByRole('heading', { level: 1, name: '控制' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { level: 1, name: '控制' }).waitFor();
});

test('test phone lives through its own bad network', async (t) => {
  const gateway = await startGateway(t, {});
  const fake = await startFake(t, { gateway: new URL(gateway).host });
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, fake.url);
  await signIn(page);
  await go(page, 'phone');
  await page.getByLabel('Channels').fill('room:7');
  await page.getByRole('button', { name: 'Connect' }).click();
  const status = page.locator('.device .status');
  await status.getByText('online').waitFor();
  await page.locator('.packets').getByText('hello').first().waitFor();
  const publish = async (text: string) => {
    await page.locator('.device').getByLabel('Payload').first().fill(JSON.stringify({ text }));
    await page.locator('.device').getByRole('button', { name: 'Publish' }).click();
  };
  await publish(HOSTILE);
  await page.locator('.beside .log').getByText('onerror').waitFor();
  await page.getByRole('button', { name: 'Cut' }).click();
  await page.getByText('network lost').waitFor();
  await status.getByText('online').waitFor();
  await page.getByText(/^resumed after/).waitFor();
  await page.getByRole('button', { name: 'Refuse dials' }).click();
  await page.getByRole('button', { name: 'Cut' }).click();
  await status.getByText('waiting').waitFor();
  // What is asked meanwhile waits for the network.
  await publish('later');
  await page.getByRole('button', { name: 'Accept dials' }).click();
  await page.locator('.beside .log').getByText('later').waitFor({ timeout: WAIT_MS });
  await page.getByRole('button', { name: 'Mute' }).click();
  await publish('held at first');
  await page.locator('.packets .held').first().waitFor();
  await page.screenshot({ path: `${SHOTS}/phone-online.png` });
  assert.doesNotMatch(await page.locator('.packets').innerText(), /"ticket":"(?!•)/, 'no secret is shown');
  await page.locator('.beside .log').getByText('held at first').waitFor({ timeout: WAIT_MS });
  assert.equal(await page.evaluate(() => 'hacked' in window), false);
  await page.getByRole('button', { name: 'Put it away' }).click();
  await page.getByRole('button', { name: 'Connect' }).waitFor();
});

test('picture of the overview on a desktop and a phone', async (t) => {
  const fake = await startFake(t, { sessions: 100_000, calm: true });
  const browser = await startBrowser(t);
  const desk = await openPage(t, browser, fake.url, { scheme: 'light' });
  const phone = await openPage(t, browser, fake.url, {
    size: 'phone',
    scheme: 'dark',
    locale: 'zh-CN',
  });
  for (const page of [desk, phone]) await signIn(page);
  await desk.waitForTimeout(Number(process.env['CHARTS_MS'] ?? 0));
  await go(phone, 'user');
  await phone.locator('.lanes').scrollIntoViewIfNeeded();
  await phone.evaluate(() => document.querySelector('.lanes')!.closest('.card')!.scrollIntoView());
  const pictures = await Promise.all([desk, phone].map(async (page) => (await page.screenshot()).toString('base64')));
  const context = await browser.newContext({
    viewport: { width: 1280 + 390 + 60, height: 844 + 40 },
  });
  const both = await context.newPage();
  const images = pictures.map((it) => `<img style="border-radius:14px;align-self:center" src="data:image/png;base64,${it}">`);
  await both.setContent(`<body style="margin:20px;display:flex;gap:20px;background:#cfdcdc">${images.join('')}</body>`);
  await both.screenshot({ path: PICTURE });
  await context.close();
  assert.ok((await stat(PICTURE)).size < PICTURE_BYTES_MAX);
});
