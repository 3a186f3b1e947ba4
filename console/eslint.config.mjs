// As in the SDK, and what is recommended for Svelte. Nothing that a server says may become HTML.

import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import tseslint from 'typescript-eslint';

const names = [
  'console process URL fetch document window navigator location localStorage sessionStorage',
  'setTimeout clearTimeout setInterval clearInterval getComputedStyle ResizeObserver requestAnimationFrame',
  'HTMLElement HTMLDialogElement HTMLInputElement SVGElement Event KeyboardEvent WebSocket Buffer matchMedia',
];
const globals = Object.fromEntries(names.flatMap((it) => it.split(' ')).map((name) => [name, 'readonly']));

export default tseslint.config(
  { ignores: ['dist', 'build'] },
  js.configs.recommended,
  tseslint.configs.recommended,
  svelte.configs.recommended,
  {
    languageOptions: { globals },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      eqeqeq: 'error',
      'svelte/no-at-html-tags': 'error',
      // The policy of the pages forbids the attribute; `style:` directives are set from script, which it permits.
      'no-restricted-syntax': [
        'error',
        { selector: 'SvelteAttribute[key.name="style"]', message: 'use a class or a style: directive' },
      ],
      // The router is a hash and a dozen lines.
      'svelte/no-navigation-without-resolve': 'off',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    // TypeScript knows the names.
    rules: { 'no-undef': 'off' },
  },
);
