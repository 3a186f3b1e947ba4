/** What the vendor's tool needs of a mini program: every file that another one names is there, and says what it has to. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Throws at the first thing that is missing. `folder` is where `app.json` is. */
export function checkStructure(folder: string): void {
  const text = (file: string) => readFileSync(join(folder, file), 'utf8');
  const read = (file: string) => JSON.parse(text(file));
  const app = read('app.json') as { pages: string[]; sitemapLocation: string; tabBar?: { list: { pagePath: string }[] } };
  assert.ok(app.pages.length > 0 && new Set(app.pages).size === app.pages.length);
  for (const page of app.pages) checkPage(folder, page);
  for (const { pagePath } of app.tabBar?.list ?? []) assert.ok(app.pages.includes(pagePath), `tab ${pagePath}`);

  const there = readdirSync(join(folder, 'pages')).map((name) => `pages/${name}/${name}`);
  assert.deepEqual(there.filter((page) => !app.pages.includes(page)), [], 'a page that app.json does not name');

  assert.ok(read(app.sitemapLocation).rules.length > 0);
  const project = read('project.config.json') as Record<string, string>;
  assert.equal(project['compileType'], 'miniprogram');
  assert.match(project['appid']!, /^(wx[0-9a-f]{16}|touristappid)$/);
  assert.match(project['libVersion']!, /^\d+\.\d+\.\d+$/);
  assert.ok(existsSync(join(folder, project['miniprogramRoot']!, 'app.json')));
  assert.ok(text('app.js').includes('App('));
  const wxss = text('app.wxss');
  assert.equal(wxss.split('{').length, wxss.split('}').length, 'app.wxss: braces');
}

function checkPage(folder: string, page: string): void {
  const text = (kind: string) => readFileSync(join(folder, `${page}.${kind}`), 'utf8');
  JSON.parse(text('json'));
  const [script, markup] = [text('js'), text('wxml')];
  assert.ok(/Page\(/.test(script), page);
  const handlers = [...markup.matchAll(/(?:bind|catch):?\w+="(\w+)"/g)].map(([, name]) => name!);
  assert.ok(handlers.length > 0 || page.includes('messages'), `${page}: nothing to tap`);
  for (const name of handlers) assert.match(script, new RegExp(`^  ${name}\\(`, 'm'), `${page}: ${name}`);
  for (const [, url] of script.matchAll(/url: '\/([\w/]+)'/g)) assert.ok(existsSync(join(folder, `${url}.js`)), `${page}: ${url}`);
  const opened = [...markup.matchAll(/<([a-z-]+)[\s>]/g)].map(([, tag]) => tag!).filter((tag) => tag !== 'input');
  const closed = [...markup.matchAll(/<\/([a-z-]+)>/g)].map(([, tag]) => tag!);
  assert.deepEqual([...opened].sort(), closed.sort(), `${page}: tags`);
}

/** Every module that is required is a file of the program, or one of the SDK's that its `build.mjs` copies. */
export function checkModules(folder: string): void {
  const copied = readFileSync(join(folder, 'build.mjs'), 'utf8');
  const scripts = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.js') && !file.startsWith('miniprogram_npm'),
  );
  for (const file of scripts) {
    for (const [, name] of readFileSync(join(folder, file), 'utf8').matchAll(/require\('([^']+)'\)/g)) {
      const found = name!.startsWith('.')
        ? existsSync(join(folder, dirname(file), `${name}.js`))
        : copied.includes(`'${name!.replace('tautline/', '')}'`);
      assert.ok(found, `${relative('.', file)} requires ${name}`);
    }
  }
}

/** Its code fits the typings of the host; `web` has TypeScript. */
export function checkTypes(folder: string, web: string): void {
  const tsc = join(web, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(folder, 'jsconfig.json')], { encoding: 'utf8', stdio: ['ignore', 'inherit', 'inherit'] });
}
