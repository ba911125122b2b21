import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist', 'cdk.out', 'node_modules', 'bucket', 'first-light', 'bench-data', 'site'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Indexing after a bounds check is common here; the compiler's noUncheckedIndexedAccess makes each one visible.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // What is only closed at the end is used by that.
      '@typescript-eslint/no-unused-vars': ['error', { ignoreUsingDeclarations: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'off',
      '@typescript-eslint/only-throw-error': 'off', // errors pass through as unknown
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
    },
  },
  {
    // What users load is linked before replica/runtime/require-node.ts can say that a Node.js is too old for it.
    // Only the command line and the functions import replica/restore/integrity.ts.
    files: ['replica/**/*.ts', 'shipper/*.ts', 'infra/**/*.ts'],
    ignores: ['infra/app.ts', 'infra/bundle-functions.ts', 'replica/restore/integrity.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...[
          [
            "ImportDeclaration[source.value='node:zlib'] ImportSpecifier[imported.name='crc32']",
            'see runtime/crc32.ts',
          ],
          ['ImportDeclaration[source.value=/^node:fs/] ImportSpecifier[imported.name=/^glob/]', 'import * as fs'],
          ["ImportDeclaration[source.value='node:sqlite'][importKind='value']", 'import it when it is needed'],
        ].map(([selector, way]) => ({ selector, message: `An old Node.js cannot link this: ${way}.` })),
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'testing/**/*.ts'],
    rules: {
      // Stand-ins implement asynchronous contracts without waiting for anything.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'describe', 'it', 'suite'], package: 'node:test' },
          ],
        },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', performance: 'readonly' },
    },
  },
);
