// The rules of typescript-eslint, as they are recommended, and the few in which this code differs.

import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist', 'build', 'test/typings', 'matrix/**/node_modules'] },
  js.configs.recommended,
  tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      eqeqeq: 'error',
      // In ES5 a spread or a rest parameter needs a helper, and an error has no cause.
      'prefer-spread': 'off',
      'prefer-rest-params': 'off',
      'preserve-caught-error': 'off',
    },
  },
  // Compiled to CommonJS: packages under test, and what ships, are loaded at run time.
  { files: ['test/**'], rules: { '@typescript-eslint/no-require-imports': 'off' } },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly' } },
  },
);
