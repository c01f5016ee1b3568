// GitHub's and GitLab's OAuth servers on two free ports; prints their addresses as one line of JSON, ends with its stdin.

import http from "node:http";

import { authority } from "./authority.mjs";
import { Control } from "./control.mjs";
import { github } from "./github.mjs";
import { gitlab } from "./gitlab.mjs";

const addresses = {};
for (const shape of [github, gitlab]) addresses[shape.kind] = await serve(shape);
console.log(JSON.stringify(addresses));

// Whatever becomes of the tests, their end of the pipe closes.
process.stdin.on("end", () => process.exit()).resume();

async function serve(shape) {
  const server = http.createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  // Another site than 127.0.0.1 to a browser: what SameSite keeps back on the way to the real ones, it keeps back here.
  const url = `http://localhost:${server.address().port}`;
  server.on("request", (await authority(shape, url, new Control())).callback());
  return url;
}
