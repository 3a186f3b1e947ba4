/**
 * The parts of reference pages that the program and the SDK tell about themselves: `{{made configuration}}`. They are made
 * with each build and kept nowhere, so they cannot be out of date.
 */

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const ROOT = resolve(import.meta.dirname, '../..');
const TAUTLINE = process.env.TAUTLINE ?? 'tautline';
const SDK = process.env.SDK ?? join(ROOT, 'sdk');

const WORDS = {
  en: { option: 'option', meaning: 'meaning', field: 'field', operation: 'operation', scope: 'scope', required: 'required', none: 'none', cause: 'cause', help: 'what it says, and what helps' },
  zh: { option: '选项', meaning: '含义', field: '字段', operation: '操作', scope: '权限', required: '必填', none: '无', cause: '原因', help: '含义与对策' },
};

/** One line of a table. Angle brackets would be HTML. */
const cell = (text) => (text ?? '').replace(/\s*\n\s*/g, ' ').replace(/\|/g, '\\|').replace(/<(?=[a-z])/gi, '&lt;').trim();

function table(heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A default as one writes it, where the description does not say it. */
function defaultOf({ default: value, description = '' }) {
  if (value === undefined || value === null || /[Dd]efault/.test(description)) return '';
  if (value.secs !== undefined) return ` Default \`${value.secs}s\`.`;
  return ` Default \`${JSON.stringify(value)}\`.`;
}

function words({ enum: names, oneOf }) {
  const all = names ?? oneOf?.map(({ const: name }) => name);
  return all?.length && all.every((name) => typeof name === 'string') ? ` ${all.map((name) => `\`"${name}"\``).join(', ')}.` : '';
}

/** Every option below `schema`, with its path. */
function options(schema, section, path = '') {
  return Object.entries(schema.properties ?? {}).flatMap(([name, option]) => {
    const here = path ? `${path}.${name}` : name;
    if (option.properties) return options(option, section, here);
    if (option.items?.properties) return [[`\`[[${section}.${here}]]\``, cell(option.description)], ...options(option.items, section, here)];
    return [[`\`${here}\``, cell((option.description ?? '') + words(option) + defaultOf(option))]];
  });
}

function configuration(language) {
  const printed = spawnSync(TAUTLINE, ['config', '--schema'], { encoding: 'utf8' });
  if (printed.error) throw new Error(`${TAUTLINE} is not there (TAUTLINE): ${printed.error.message}`);
  const sections = Object.entries(JSON.parse(printed.stdout).properties);
  const parts = sections.map(([name, section]) => {
    const title = section.items ? `[[${name}]]` : `[${name}]`;
    const rows = options(section.items ?? section, name);
    return `## ${title}\n\n${cell(section.description)}\n\n${table([WORDS[language].option, WORDS[language].meaning], rows)}`;
  });
  return parts.join('\n\n');
}

/** The document of a gateway that is started for it. */
async function openapi() {
  const gateway = spawn(TAUTLINE, ['serve', '--dev', '--engine', 'memory', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    for await (const line of createInterface({ input: gateway.stdout })) {
      const [url] = /http:\/\/[\d.:]+/.exec(line) ?? [];
      if (url) return await (await fetch(`${url}/api/v1/openapi.json`)).json();
    }
    throw new Error('the gateway has ended');
  } finally {
    gateway.kill();
  }
}

let document;
async function api(language) {
  document ??= await openapi();
  const say = WORDS[language];
  const named = (it) => (it?.$ref ? { ...it.$ref.split('/').slice(1).reduce((at, key) => at[key], document), ...it } : it);
  const meaning = (it) => named(it).description ?? named(it).oneOf?.map(named).find(({ description }) => description)?.description;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
  const scopes = ({ security }) => security?.flatMap(({ key }) => key ?? []).map((scope) => `\`${scope}\``).join(', ') || say.none;
  const link = ({ path }) => path.toLowerCase().replace(/[^a-z0-9]/g, '');
  const index = operations.map((one) => [`[\`${one.method} ${one.path}\`](#${link(one)})`, cell(one.summary), scopes(one)]);
  const parts = operations.map((one) => {
    const body = named(one.requestBody?.content?.['application/json']?.schema);
    const query = (one.parameters ?? []).map(named).filter((it) => it.in !== 'header');
    const fields = [
      ...query.map(({ name, description, required }) => [`\`${name}\``, required, description]),
      ...Object.entries(body?.properties ?? {}).map(([name, it]) => [`\`${name}\``, body.required?.includes(name), meaning(it)]),
    ];
    const rows = fields.map(([name, required, text]) => [name, required ? say.required : '', cell(text)]);
    const about = fields.length ? `\n\n${table([say.field, '', say.meaning], rows)}` : '';
    return `## ${one.path} {#${link(one)}}\n\n${cell(one.summary)}. ${cell(one.description)}${about}`;
  });
  return `${table([say.operation, say.meaning, say.scope], index)}\n\n${parts.join('\n\n')}`;
}

async function causes(language) {
  const { WORDS_EN, WORDS_ZH } = await import(pathToFileURL(join(SDK, 'dist/esm/words.js')));
  const rows = Object.entries(language === 'zh' ? WORDS_ZH : WORDS_EN).map(([cause, text]) => [`\`${cause}\``, cell(text)]);
  return table([WORDS[language].cause, WORDS[language].help], rows);
}

/** The table of codes in the specification. */
function errors() {
  const spec = readFileSync(join(ROOT, 'spec/protocol.md'), 'utf8');
  const [, part] = /\n### Error codes\n\n([^]*?)\n\n/.exec(spec);
  return part;
}

const PARTS = { configuration, api, causes, errors };

/** A page with its parts filled in. */
export async function fill(text, language) {
  for (const [all, name] of text.matchAll(/^\{\{made (\w+)\}\}$/gm)) {
    const part = await PARTS[name](language);
    text = text.replace(all, () => part);
  }
  return text;
}
