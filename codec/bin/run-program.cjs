// The door of all three programs, in old syntax: any Node can read it and say what is needed.
// An older Node re-executes with the one in node_modules/node where that exists; stdio, signals and exit code pass through.
// The child holds a pipe from here, so that kill -9 of this process ends it as well: nobody is left behind.
'use strict';

var fs = require('fs');
var path = require('path');

var NODE_MAJOR_MIN = 24;
var ROOT = path.join(__dirname, '..', '..');
/** Names the inherited pipe in the child's environment; removed there at once. */
var PARENT_PIPE = 'MT_PARENT_PIPE_FD';

/**
 * Runs one program of this package.
 * @param {string} name as the user typed it, for messages.
 * @param {string} main the bundle, relative to the package's root; a .cjs one starts 3 ms sooner than an ES module.
 */
module.exports = function runProgram(name, main) {
  if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
    reexecute(name);
    return;
  }
  followParent();
  var file = path.join(ROOT, main);
  if (!fs.existsSync(file)) {
    fail(name, 'is not built yet. Run: npm run build');
    return;
  }
  require('module').enableCompileCache();
  if (/\.cjs$/.test(main)) {
    require(file);
    return;
  }
  import(require('url').pathToFileURL(file).href).catch(function onError(error) {
    console.error(error);
    process.exit(1);
  });
};

function fail(name, why) {
  process.stderr.write(name + ' ' + why + '\n');
  process.exit(1);
}

function reexecute(name) {
  var node = findNode();
  if (!node) {
    fail(name, 'needs Node ' + NODE_MAJOR_MIN + ' or newer; this is Node ' + process.versions.node + '.');
    return;
  }
  var env = Object.assign({}, process.env);
  env[PARENT_PIPE] = '3';
  var args = process.execArgv.concat(process.argv.slice(1));
  var child = require('child_process').spawn(node, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: env,
  });
  child.stdio[3].on('error', function ignore() {});
  var signals = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR1', 'SIGUSR2'];
  signals.forEach(function forward(signal) {
    process.on(signal, function onSignal() {
      // A terminal sends Ctrl-C to the whole process group: the child has it already.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    });
  });
  child.on('error', function onError(error) {
    fail(name, 'could not start ' + node + ': ' + error.message);
  });
  child.on('exit', function onExit(code, signal) {
    if (!signal) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The Node that this package brings along: its own, or that of the project it is installed in. */
function findNode() {
  for (var folder = ROOT; ; folder = path.dirname(folder)) {
    var node = path.join(folder, 'node_modules', 'node', 'bin', 'node');
    if (fs.existsSync(node)) return node;
    if (folder === path.dirname(folder)) return null;
  }
}

/** In a re-executed child: end as if killed when the process that the user started has been. */
function followParent() {
  var fd = process.env[PARENT_PIPE];
  if (fd === undefined) return;
  delete process.env[PARENT_PIPE];
  var pipe = new (require('net').Socket)({ fd: Number(fd), readable: true, writable: false });
  pipe.on('error', function ignore() {});
  pipe.on('close', function onClose() {
    process.kill(process.pid, 'SIGKILL');
  });
  pipe.resume();
  pipe.unref();
}
