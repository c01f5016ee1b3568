// Calls the npm client remove.bg as its README says, pointed at another host by one line; prints what it resolves to.
import { createRequire } from "node:module";

const [node_modules, gateway, call, options] = process.argv.slice(2);
const require = createRequire(`${node_modules}/`);

const unirest = require("unirest"), post = unirest.post;
unirest.post = (url) => post(url.replace("https://api.remove.bg", gateway)); // the one line

const client = require("remove.bg");
client[call](JSON.parse(options)).then(
  (result) => console.log(JSON.stringify({ result })),
  (errors) => console.log(JSON.stringify({ errors })),
);
