#!/usr/bin/env node
import build from "./build.js";

build();
// By URL, because the type checker must not need dist/ to exist.
await import(new URL("../dist/main.js", import.meta.url).href);
