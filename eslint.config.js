import tseslint from 'typescript-eslint';

const CLOCK = 'Time is an argument: use the Clock of #kernel.';
const RANDOM = 'Randomness comes from node:crypto.';

/** Rules that hold for product code and not for tests: the house rules of CONTRIBUTING.md that a linter can hold. */
const houseRules = {
  'max-lines': ['warn', { max: 300, skipBlankLines: true, skipComments: true }],
  'max-lines-per-function': ['warn', { max: 60, skipBlankLines: true, skipComments: true }],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: CLOCK },
    { object: 'performance', property: 'now', message: CLOCK },
    { object: 'Math', property: 'random', message: RANDOM },
    { object: 'process', property: 'env', message: 'Settings are read once, in #kernel config.' },
  ],
  'no-restricted-syntax': [
    'error',
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: CLOCK },
    { selector: 'TSEnumDeclaration', message: 'A union of literals says the same and erases.' },
  ],
  'no-console': 'error',
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'var/', 'coverage/', 'test/vectors/', 'bench/results/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { house: { rules: { 'explained-disable': explainedDisable() } } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/ban-ts-comment': ['error', { 'ts-expect-error': 'allow-with-description' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Wrong where decorators need the value: the compiler's verbatimModuleSyntax keeps imports honest instead.
      '@typescript-eslint/consistent-type-imports': 'off',
      'house/explained-disable': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['libs/**/*.ts', 'apps/**/*.ts'],
    ignores: ['**/*.spec.ts', '**/testing/**', '**/test/**'],
    rules: houseRules,
  },
  {
    files: ['libs/kernel/src/clock.ts', 'libs/kernel/src/config.ts'],
    rules: { 'no-restricted-properties': 'off', 'no-restricted-syntax': 'off' },
  },
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] },
);

/** A rule may be switched off where it is wrong, never without the reason after `--`. */
function explainedDisable() {
  return {
    meta: { type: 'problem', schema: [] },
    create(context) {
      return {
        Program() {
          for (const comment of context.sourceCode.getAllComments()) {
            if (/^\s*eslint-disable/.test(comment.value) && !/--\s*\S/.test(comment.value)) {
              context.report({ loc: comment.loc, message: 'Say why after "--".' });
            }
          }
        },
      };
    },
  };
}
