/** The demo page as a visitor plays with it: every switch, and what the page says about it. */

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { openDemo, startBrowser } from '../src/browser.ts';
import { TOP, startDemo } from '../src/process.ts';

/** Where the picture goes: `PICTURE=docs/picture.png` takes the one of the README anew. */
const PICTURE = `${TOP}/${process.env['PICTURE'] ?? 'e2e/build/picture.png'}`;
/** A README is read on slow lines too. */
const PICTURE_BYTES_MAX = 500_000;

test('every switch can be thrown, every drop is explained, and nothing is lost', async (t) => {
  const url = await startDemo(t);
  const page = await openDemo(await startBrowser(t), url);
  await page.click('[data-phone=a] .tap');
  await page.click('[data-phone=b] .tap');
  await calm(page);

  await t.test('a pulled cable is known at once, and what waited for it arrives', async () => {
    await page.click('[data-switch=a-cable]');
    await page.getByText('no network', { exact: true }).waitFor();
    await page.waitForFunction(() => window.demo.phones['b']!.counter > window.demo.phones['a']!.counter + 30);
    await page.click('[data-switch=a-cable]');
    await backOnline(page, 'a', 'network_lost');
    await calm(page);
  });

  await t.test('a half-open connection is found out by a ping', async () => {
    await page.click('[data-switch=b-half_open]');
    await backOnline(page, 'b', 'peer_silent');
    // The switch goes off by itself.
    await page.waitForSelector('[data-switch=b-half_open] input:not(:checked)', { state: 'attached' });
    await calm(page);
  });

  await t.test('a slow network is slow, and drops nothing', async () => {
    const drops = await page.evaluate(() => window.demo.outages.length);
    await page.click('[data-switch=b-slow]');
    await page.waitForFunction(() => window.demo.phones['b']!.heardMs! > 300);
    await page.click('[data-switch=b-slow]');
    await page.waitForFunction(() => window.demo.phones['b']!.heardMs! < 200);
    assert.equal(await page.evaluate(() => window.demo.outages.length), drops);
  });

  await t.test('an app in the background hangs up, and is back when it is looked at', async () => {
    await page.click('[data-switch=a-hidden]');
    await page.getByText('in background', { exact: true }).waitFor();
    await page.waitForFunction(() => window.demo.phones['b']!.counter > window.demo.phones['a']!.counter + 20);
    await page.click('[data-switch=a-hidden]');
    await backOnline(page, 'a', 'background');
    await calm(page);
  });

  await t.test('a drained gateway lets everybody come back', async () => {
    await page.click('button[name=drain]');
    await backOnline(page, 'a', 'server_restart');
    await backOnline(page, 'b', 'server_restart');
    await calm(page);
  });

  await t.test('page on a phone-sized screen is not cut off', async () => {
    const size = page.viewportSize()!;
    await page.setViewportSize({ width: 390, height: 844 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    await page.setViewportSize(size);
  });

  await t.test('the picture is taken while a cable is out', async () => {
    await page.click('[data-switch=b-cable]');
    await page.waitForFunction(() => window.demo.phones['b']!.underway > 25);
    const fits = await page.evaluate(() => document.documentElement.scrollHeight <= window.innerHeight);
    assert.ok(fits, 'the page fits without scrolling');
    await page.screenshot({ path: PICTURE });
    assert.ok((await stat(PICTURE)).size < PICTURE_BYTES_MAX);
    await page.click('[data-switch=b-cable]');
    await backOnline(page, 'b', 'network_lost');
  });

  await t.test('when it is quiet both phones say the same, and the books are clean', async () => {
    await page.evaluate(() => Object.values(window.demo.phones).forEach((phone) => phone.rest()));
    await page.waitForFunction(() => {
      const { underway, awaited, asked, settled } = window.demo.figures();
      return underway === 0 && awaited === 0 && asked === settled;
    });
    const { figures, counters, errors } = await page.evaluate(() => ({
      figures: window.demo.figures(),
      counters: Object.values(window.demo.phones).map((phone) => phone.counter),
      errors: window.demo.errors,
    }));
    assert.deepEqual(counters, [figures.sent, figures.sent]);
    assert.equal(figures.received, figures.sent);
    assert.equal(figures.failed + figures.gaps + figures.publishedTwice + figures.settledTwice, 0);
    assert.deepEqual(errors, []);
    for (const figure of ['lost', 'doubled', 'reordered', 'twice']) {
      assert.equal(await page.textContent(`[data-figure=${figure}]`), '0', figure);
    }
  });
});

test('the page speaks Chinese', async (t) => {
  const page = await openDemo(await startBrowser(t), await startDemo(t), { lang: 'zh', theme: 'dark' });
  assert.equal(await page.getAttribute('html', 'lang'), 'zh');
  assert.deepEqual(await page.locator('.verdict dt').allTextContents(), ['丢失', '重复', '乱序']);
  await page.getByRole('link', { name: 'English' }).click();
  await page.getByText('Why did it drop?').waitFor();
});

/** Lets a few seconds' publications pass undisturbed: back-off starts anew, and the picture shows what calm looks like. */
async function calm(page: Page): Promise<void> {
  const counter = await page.evaluate(() => window.demo.phones['a']!.counter);
  await page.waitForFunction(
    (wanted) => Object.values(window.demo.phones).every((phone) => phone.counter > wanted),
    counter + 60,
  );
}

/** Waits until the phone's last drop had this cause and is over. */
async function backOnline(page: Page, phone: string, cause: string): Promise<void> {
  await page.waitForFunction(
    ([phone, cause]) => {
      const last = window.demo.outages.findLast((outage) => outage.phone === phone);
      if (!last || last.cause !== cause) return false;
      return last.until !== undefined && window.demo.phones[phone!]!.line.state === 'online';
    },
    [phone, cause],
  );
}
