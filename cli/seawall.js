#!/usr/bin/env node
// The package's bin. Plain old JavaScript, so that a Node.js that is too old gets a clear line and no syntax error.
(function () {
  var version = process.versions.node.split('.').map(Number);
  if (version[0] < 22 || (version[0] === 22 && version[1] < 15)) {
    console.error('seawall needs Node.js 22.15 or newer; this is ' + process.versions.node + '. Install a newer one.');
    process.exit(1);
  }
  import('../dist/cli/main.js').catch(function (error) {
    var missing = error.code === 'ERR_MODULE_NOT_FOUND' && /dist[/\\]cli[/\\]main\.js'/.test(error.message);
    console.error(missing ? 'seawall is not built here: run "npm run build" in its folder first.' : error);
    process.exitCode = 1;
  });
})();
