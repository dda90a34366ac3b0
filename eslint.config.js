import tseslint from "typescript-eslint";

// Biome formats and lints. ESLint is here only for the rules that need the compiler's types: Biome's
// noFloatingPromises does not see a promise returned by a class of a dependency (`redis.get("a");`),
// which is where most of ours come from.
export default [
  { ignores: ["dist/", ".tidegate/"] },
  {
    files: ["**/*.ts"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { "@typescript-eslint": tseslint.plugin },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
];
