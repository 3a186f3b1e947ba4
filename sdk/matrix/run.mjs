// The packed package in the hands of those who use it: installed, imported, compiled and bundled in each way that apps do.

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const sdk = dirname(here);
const require = createRequire(import.meta.url);
const app = mkdtempSync(join(tmpdir(), 'tautline-matrix-'));
const packed = join(app, 'node_modules/tautline');
const faults = [];

const MINIPROGRAM_CI =
  'sha512-H/bq0Wo6kMbwzcOM4jiYSMuQUkND50+zeyY8EkJuY1TQYijkLbFmNK/CFsFJsJgVcvXZ94wn8Do50YSO/Rv6/w==';

/** Every entry that needs no framework. */
const ENTRIES = [
  '',
  '/wechat',
  '/alipay',
  '/browser',
  '/react-native',
  '/heartbeat',
  '/words',
  '/page',
  '/vue2',
  '/debug',
  '/storage',
  '/msgpack',
  '/json',
];
const TS = `
import { Tautline, TautlineError, wechatHost, type TautlineOptions } from 'tautline';
import { Tautline as Wechat } from 'tautline/wechat';
import WebsocketHeartbeat from 'tautline/heartbeat';
import { page } from 'tautline/page';
import { storage } from 'tautline/storage';
import { msgpack } from 'tautline/msgpack';
import { customJson } from 'tautline/json';
import { lineMixin } from 'tautline/vue2';
import { reactNativeHost } from 'tautline/react-native';
import { debugRing } from 'tautline/debug';
import { hint } from 'tautline/words';
const options: TautlineOptions = { url: 'wss://a.example/connect', storage: storage(), format: msgpack, trace: debugRing().trace };
const line = new Tautline<{ methods: { ping: { result: number } } }>(options);
line.call('ping').then((n): number => n).catch((error: TautlineError) => error.code === 'timeout');
line.on('drop', (drop) => hint(drop));
page(new Wechat({ ...options, format: customJson(JSON) })).unload();
lineMixin(line);
WebsocketHeartbeat({ connectSocketParams: { url: 'wss://a.example' } }).then((task) => task.close());
export { reactNativeHost, wechatHost };
`;

function step(what, act) {
  try {
    act();
    console.log(`ok      ${what}`);
  } catch (error) {
    faults.push(what);
    console.log(
      `FAILED  ${what}\n${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout ? '' : error.stack}`,
    );
  }
}

async function stepping(what, act) {
  let failure;
  await act().catch((error) => (failure = error));
  step(what, () => {
    if (failure) throw failure;
  });
}

function node(...args) {
  return execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8', stdio: 'pipe' });
}

function write(file, text) {
  writeFileSync(join(app, file), text);
}

function pack() {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', app], {
      cwd: sdk,
      encoding: 'utf8',
    }),
  );
  mkdirSync(packed, { recursive: true });
  execFileSync('tar', ['xzf', join(app, filename), '-C', packed, '--strip-components=1']);
  return join(app, filename);
}

/** Compiles the same app in the way of one version of TypeScript and one of its resolutions. */
function typescript(version, options) {
  const what = `TypeScript ${version}, ${options.moduleResolution}${options.as ? `, ${options.as}` : ''}`;
  const { as = 'ts', ...compilerOptions } = options;
  step(what, () => {
    write(`app.${as}`, TS);
    const all = {
      strict: true,
      noEmit: true,
      target: 'ES2017',
      lib: ['ES2017'],
      types: [],
      skipLibCheck: false,
      ...compilerOptions,
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions: all, files: [`app.${as}`] }));
    const folder = join(here, 'node_modules', `typescript-${version}`);
    node(join(folder, 'bin/tsc'), '-p', 'tsconfig.json');
  });
  rmSync(join(app, `app.${as}`), { force: true });
}

/** Where a link in a text of the package leads inside of it. */
function brokenLinks() {
  const texts = readdirSync(packed, { recursive: true }).filter((file) => file.endsWith('.md'));
  return texts.flatMap((file) => {
    const links = [...readFileSync(join(packed, file), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)];
    return links
      .map(([, to]) => to)
      .filter((to) => {
        const target = resolve(packed, dirname(file), to);
        return relative(packed, target).startsWith('..') || !existsSync(target);
      })
      .map((to) => `${file}: ${to}`);
  });
}

const tarball = pack();
step('licence files are inside', () => {
  for (const file of ['LICENSE-APACHE', 'LICENSE-MIT'])
    if (!existsSync(join(packed, file))) throw new Error(file);
});
step('links lead somewhere', () => {
  const broken = brokenLinks();
  if (broken.length) throw new Error(broken.join('\n'));
});
step('optional peers have no floor', () => {
  const { peerDependencies } = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8'));
  if (Object.values(peerDependencies).some((range) => range !== '*'))
    throw new Error(JSON.stringify(peerDependencies));
});

for (const entry of ENTRIES) {
  step(`require tautline${entry}`, () =>
    node('-e', `if (!Object.keys(require('tautline${entry}')).length) process.exit(1)`),
  );
}
step('import in Node: every entry, and the default of the heartbeat', () => {
  const imports = ENTRIES.map((entry, i) => `import * as e${i} from 'tautline${entry}';`).join('\n');
  write(
    'app.mjs',
    `${imports}\nimport W from 'tautline/heartbeat';\nif (typeof W !== 'function') process.exit(1);\n`,
  );
  node('app.mjs');
});

typescript('4.7', { module: 'ESNext', moduleResolution: 'node' });
typescript('4.7', { module: 'Node16', moduleResolution: 'Node16', as: 'mts' });
typescript('4.7', { module: 'Node16', moduleResolution: 'Node16', as: 'cts' });
typescript('4.9', { module: 'ESNext', moduleResolution: 'node' });
typescript('4.9', { module: 'Node16', moduleResolution: 'Node16', as: 'mts' });
typescript('5.0', { module: 'ESNext', moduleResolution: 'Bundler' });
typescript('7.0', { module: 'ESNext', moduleResolution: 'Bundler' });
typescript('7.0', { module: 'NodeNext', moduleResolution: 'NodeNext', as: 'mts' });
typescript('7.0', { module: 'NodeNext', moduleResolution: 'NodeNext', as: 'cts' });

write(
  'app.js',
  `import { Tautline } from 'tautline';\nimport W from 'tautline/heartbeat';\nimport { page } from 'tautline/page';\nconsole.log(Tautline, W, page);\n`,
);
await stepping('esbuild', async () => {
  const { build } = require('esbuild');
  await build({ entryPoints: [join(app, 'app.js')], bundle: true, write: false, logLevel: 'silent' });
});
await stepping('rollup', async () => {
  const { rollup } = require('rollup');
  const resolving = require('@rollup/plugin-node-resolve').default;
  const warnings = [];
  await rollup({
    input: join(app, 'app.js'),
    plugins: [resolving()],
    onwarn: (warning) => warnings.push(warning.message),
  });
  if (warnings.length) throw new Error(warnings.join('\n'));
});
await stepping('vite', async () => {
  const { build } = await import('vite');
  const input = join(app, 'app.js');
  await build({
    root: app,
    configFile: false,
    logLevel: 'error',
    build: { write: false, rollupOptions: { input } },
  });
});
// Its hash is one that newer OpenSSL has no more.
await stepping('webpack 4, which knows no exports', () => webpack('webpack-4', { hashFunction: 'sha256' }));
await stepping('webpack 5', () => webpack('webpack-5', {}));

function webpack(version, more) {
  return new Promise((resolved, reject) => {
    const options = {
      mode: 'production',
      context: app,
      entry: './app.js',
      output: { path: join(app, version), ...more },
    };
    require(version)(options, (error, stats) => {
      const said =
        error ?? ((stats.hasErrors() || stats.hasWarnings()) && new Error(stats.toString('errors-warnings')));
      if (said) reject(said);
      else resolved();
    });
  });
}

await stepping("WeChat's own 构建npm", async () => {
  const { packNpmManually } = buildNpm();
  const project = join(app, 'mini');
  mkdirSync(join(project, 'node_modules'), { recursive: true });
  cpSync(packed, join(project, 'node_modules/tautline'), { recursive: true });
  write('mini/package.json', JSON.stringify({ dependencies: { tautline: '*' } }));
  const { miniProgramPackNum, warnList } = await packNpmManually({
    packageJsonPath: join(project, 'package.json'),
    miniprogramNpmDistDir: project,
  });
  if (miniProgramPackNum !== 1 || warnList.length)
    throw new Error(JSON.stringify({ miniProgramPackNum, warnList }));
  const built = join(project, 'miniprogram_npm/tautline');
  for (const entry of ENTRIES) {
    // As a phone does: there is no package.json, and no folder but this one.
    const file = join(built, `${entry.slice(1) || 'index'}.js`);
    node('-e', `if (!Object.keys(require(${JSON.stringify(file)})).length) process.exit(1)`);
  }
});

/**
 * The part of `miniprogram-ci` that packs, without the thousand packages that the rest of it needs: those of this part are among
 * our own. It asks for no key and no network.
 */
function buildNpm() {
  const folder = join(here, 'node_modules/.miniprogram-ci');
  if (!existsSync(folder)) {
    const [{ filename, integrity }] = JSON.parse(
      execFileSync('npm', ['pack', 'miniprogram-ci@2.1.42', '--json', '--pack-destination', app], {
        encoding: 'utf8',
      }),
    );
    if (integrity !== MINIPROGRAM_CI) throw new Error(`miniprogram-ci has the hash ${integrity}`);
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['xzf', join(app, filename), '-C', folder, '--strip-components=1']);
  }
  return require(join(folder, 'dist/modules/corecompiler/original/npm/packnpm.js'));
}

step("Metro's resolver without exports", () => {
  const { resolve: metro } = require('metro-resolver');
  for (const entry of ENTRIES.filter((one) => one)) {
    const found = metro(metroContext(), `tautline${entry}`, null);
    if (found.type !== 'sourceFile') throw new Error(entry);
  }
});

function metroContext() {
  const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
  return {
    allowHaste: false,
    assetExts: new Set(),
    customResolverOptions: {},
    disableHierarchicalLookup: false,
    doesFileExist: (file) => existsSync(file) && !isFolder(file),
    fileSystemLookup: (file) =>
      existsSync(file)
        ? { exists: true, type: isFolder(file) ? 'd' : 'f', realPath: file }
        : { exists: false },
    extraNodeModules: null,
    getPackage: (file) => (existsSync(file) ? read(file) : null),
    getPackageForModule: () => null,
    isAssetFile: () => false,
    mainFields: ['react-native', 'browser', 'main'],
    nodeModulesPaths: [],
    originModulePath: join(app, 'app.js'),
    preferNativePlatform: false,
    redirectModulePath: (path) => path,
    resolveAsset: () => undefined,
    resolveHasteModule: () => undefined,
    resolveHastePackage: () => undefined,
    sourceExts: ['js', 'json'],
    unstable_conditionNames: [],
    unstable_conditionsByPlatform: {},
    unstable_enablePackageExports: false,
    unstable_logWarning: () => {},
  };
}

function isFolder(file) {
  try {
    readdirSync(file);
    return true;
  } catch {
    return false;
  }
}

await stepping('publint', async () => {
  const { publint } = await import('publint');
  const { formatMessage } = await import('publint/utils');
  const pkg = JSON.parse(readFileSync(join(packed, 'package.json'), 'utf8'));
  const { messages } = await publint({ pkgDir: packed, strict: true, pack: false });
  const said = messages
    .filter(({ code }) => code !== 'USE_TYPE')
    .map((message) => formatMessage(message, pkg));
  if (said.length) throw new Error(said.join('\n'));
});
await stepping('are the types wrong', async () => {
  const { checkPackage, createPackageFromTarballData } = await import('@arethetypeswrong/core');
  const { problems } = await checkPackage(
    createPackageFromTarballData(new Uint8Array(readFileSync(tarball))),
  );
  if (problems?.length) throw new Error(problems.map((problem) => JSON.stringify(problem)).join('\n'));
});

rmSync(app, { recursive: true, force: true });
process.exit(faults.length ? 1 : 0);
