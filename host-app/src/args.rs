//! The command line.

mod filters;
mod pipe;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

pub use self::filters::Filters;
pub use self::pipe::Pipe;
pub use self::words::{Stage, Target};
use crate::commands::arguments::Member;
use crate::settings::Interval;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 refused (incompatible or broken), 4 not found,
5 not permitted.

Logs go to standard error; RUST_LOG says which. With --json, an error is
{\"error\":{\"code\",\"message\",\"help\"}} on standard output.";

const CONFIG_FILE: &str = "\
The config file, with all its keys (relative paths are relative to it):

    plugins = [\"/srv/plugins\", \"more\"]     # the first has precedence
    socket = \"/run/user/1000/my.sock\"
    name = \"host-app\"                     # hosts of one name share their plugins' data
    registry = \"sqlite\"                   # what is known of plugins; or \"file\", \"memory\",
                                          # { kind = \"file\", path = \"registry.json\" }
    allow_world_writable = false
    probe = \"if-possible\"                 # or \"required\", \"never\"
    activation_deadline_seconds = 10
    enabled = [\"kv@^1\"]                  # goes before others; in these versions only
    disabled = [\"sql\"]
    profile = \"machine-learning\"          # a ready-made set of kinds
    only_known_kinds = false              # refuse plugins of kinds that are not here
    stack = \"research.toml\"               # only what it names runs, and what that needs
    lock = \"plugbay.lock\"                 # what --locked lets run; host-app lock writes it

    [kinds]                               # how many plugins of a kind run at a time
    renderer = \"single\"                  # or \"many\", \"chain\": many, in an order
    data_source = { single-per = \"source\" }

    [versions_of]                         # \"compatible\": 1.x beside 2.x, or \"all\", \"one\";
    sql = \"compatible\"                    # `versions` says it of every plugin

    [precedence]                          # who goes before whom, per kind (also as
                                          # plugin_precedence)
    renderer = [\"markdown\", \"other\"]

    [watch]
    enabled = true                        # reload when a file changes
    poll_seconds = 2                      # look at an interval, as for NFS
    keep_removed = false                  # a removed file does not end its plugin

    [reload]
    probation_seconds = 10                # how long the version before may come back
    allowed_troubles = 3                  # panics in that time; one more, and it does
    max_generations = 32                  # of one plugin, in memory
    drain_seconds = 10                    # how long running calls are waited for
    pause_seconds = 5                     # how long calls wait for a new version and its state

    [config.markdown]                     # what the plugin `markdown` is given
    allow_html = false

    [config.reports]                      # a secret is not written here, but where it is
    password = { env = \"REPORTS_PASSWORD\" }   # or { file = \"password\" }

    [dspy]                                # a table that a plugin registers with
    model = \"small\"                     # [host_config.dspy] in its plugin.toml

It may be host.yaml or host.json as well, with the same keys.";

/// A plugins folder as a program.
#[derive(Debug, Parser)]
#[command(name = "host-app", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// A plugins folder; repeatable, the first has precedence [default: those in
    /// $PLUGBAY_PLUGIN_PATH, else in the config file, else
    /// $XDG_DATA_HOME/plugbay/plugins]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plugins: Vec<PathBuf>,
    /// The config file [default: $XDG_CONFIG_HOME/plugbay/host.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// What the host is called: hosts of one name share the data of their plugins,
    /// and what they went back from [default: that in the config file, else host-app]
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// The lock, which says what ran [default: plugbay.lock beside the config file]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub lock: Option<PathBuf>,
    /// Let nothing run but what the lock names
    #[arg(long, global = true)]
    pub locked: bool,
    /// The stack file, which says what runs; a running host is not asked then [default:
    /// that in the config file, if any]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub stack: Option<PathBuf>,
    /// The running host's socket [default: $XDG_RUNTIME_DIR/plugbay/host.sock]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a host and serve until SIGINT or SIGTERM
    ///
    /// Prints what is active, and what was refused and why, then listens on the
    /// socket, watches the folders, and prints what happens, each on one line. On
    /// SIGINT or SIGTERM every plugin is deactivated; a second signal ends at once.
    /// On SIGHUP all plugins are reloaded, as by `reload --all`, and those whose part of
    /// the config file has changed go on with the new one. Which plugins run by it is
    /// decided at the start.
    ///
    /// With --json: one line {"event":"started", …} with what `list --json`
    /// prints, one line for each event, as `history --json` prints them, and one
    /// line {"event":"stopped","unloaded":[…],"failures":[…]} at the end.
    #[command(after_long_help = CONFIG_FILE)]
    Run {
        #[command(flatten)]
        watch: WatchFlags,
    },
    /// List the plugins that run, and what was refused
    ///
    /// Asks the running host. Where there is none: looks at the folders, and
    /// lists what would run, without loading anything.
    ///
    /// With --json: {"host","folders","plugins":[{"id","version","state",
    /// "generation","calls","generations","results","pinned","path","hash","description",
    /// "kinds","capabilities"}],"refused":[{"path","id","version","code","reason","help","kinds",
    /// "capabilities"}],"pinned","notices"}.
    /// `host` is null where none runs.
    List {
        /// Only what was refused
        #[arg(long)]
        refused: bool,
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        alone: Alone,
    },
    /// Find plugins by words in their names, descriptions, kinds and capabilities
    ///
    /// Among all that hosts of this name have seen, also what is gone. All words must be
    /// there; the best matches come first.
    ///
    /// With --json: {"plugins":[…]}, each as the registry has it.
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// List the contracts that plugins offer, who offers and who calls each
    ///
    /// The provider that is taken where nobody says which stands first: the one with
    /// the largest precedence, then by id. Asks the running host. Where there is none:
    /// looks at the folders, without loading anything. A method is called with
    /// `call ID:CONTRACT:METHOD`.
    ///
    /// With --json: {"host","contracts":[{"id","major","providers":[{"plugin",
    /// "plugin_version","id","version","capabilities","precedence"}],"consumers"}]}.
    Services {
        /// Only this contract
        contract: Option<String>,
        #[command(flatten)]
        alone: Alone,
    },
    /// Show which plugins run, in which order, and why the others do not
    ///
    /// It is decided before anything is loaded, from what the plugins say of each other
    /// and what the config file says of them. Asks the running host. Where there is
    /// none: looks at the folders.
    ///
    /// With --json: {"host","run":[{"id","version","level","kinds","needs","uses","path",
    /// "hash","on_demand"}],"chains","not_run":[{"path","id","version","code","reason","help"}],
    /// "outside","advice"}, where `outside` is what a stack leaves out.
    Plan {
        /// Print who needs and uses whom as a tree, in the place of levels
        #[arg(long, conflicts_with = "why")]
        tree: bool,
        /// Only why this plugin runs, or does not
        #[arg(long, value_name = "ID")]
        why: Option<String>,
        #[command(flatten)]
        alone: Alone,
    },
    /// Draw which plugins need which: for Graphviz, or as SVG
    Graph {
        /// Print an SVG picture
        #[arg(long)]
        svg: bool,
        #[command(flatten)]
        alone: Alone,
    },
    /// Write down what would run: each plugin, its version and its bytes
    ///
    /// With --locked, nothing else runs. Looks at the folders, whether a host runs or
    /// not, and prints what is otherwise than in the lock that was there.
    ///
    /// With --json: {"path","plugins","changed"}.
    Lock,
    /// Show what a plugin says of itself; nothing is loaded for it
    ///
    /// With --json: {"path","size","hash","state","generation","calls",
    /// "generations","results","pinned","refused","beside","facts","manifest"}; what is not known is
    /// null.
    Inspect {
        /// A library file (anything with a `/`, or that exists), or a plugin's id
        #[arg(value_name = "FILE|ID", value_hint = ValueHint::FilePath)]
        what: String,
        /// Also print the JSON schemas, and for how long results are kept
        #[arg(long, short)]
        verbose: bool,
        #[command(flatten)]
        alone: Alone,
    },
    /// Call a command of a plugin
    ///
    /// Prints its result as JSON: over several lines on a terminal, else on one.
    /// Where no host runs, the plugin is loaded for this one call.
    Call {
        /// The plugin's id and the command, for example markdown:render
        #[arg(value_name = "ID:COMMAND")]
        target: Target,
        /// The arguments: JSON, @FILE, or - for standard input
        #[arg(value_name = "JSON", default_value = "{}", allow_negative_numbers = true)]
        arguments: String,
        /// Add a member to the arguments; repeatable
        ///
        /// NAME=TEXT and NAME=@FILE add text, NAME:=JSON and NAME:=@FILE add JSON.
        #[arg(long = "arg", value_name = "NAME=VALUE")]
        members: Vec<Member>,
        /// Print a result that is a string as it is, without quotes
        #[arg(long, short, conflicts_with = "json")]
        raw: bool,
        /// Print only this member of the result
        #[arg(long, value_name = "NAME", conflicts_with = "pointer")]
        field: Option<String>,
        /// Print only what this JSON pointer leads to, for example /rows/0
        #[arg(long, value_name = "POINTER")]
        pointer: Option<String>,
        #[command(flatten)]
        alone: Alone,
    },
    /// Send rows through services of plugins: a source, then step by step
    ///
    /// Each stage is a plugin's id, a colon, and a text. The first one is a source
    /// (plugbay.data-source), and its text a query. Behind it, a processor
    /// (plugbay.data-processor) takes each batch of rows by what its text says, and a
    /// renderer (plugbay.renderer) renders the column that its text names. The plugins
    /// are loaded for this run, whether a host runs or not.
    ///
    /// Prints a table on a terminal, else, and with --json, one JSON object for each
    /// row.
    Pipe(Pipe),
    /// Take `disable` back, and let a plugin run before all that exclude it
    ///
    /// Of `sql@^1`, only versions in that range run from then on. It is kept in the
    /// registry; where no host runs, it holds from the next start on.
    Enable {
        /// The plugin, with or without versions
        #[arg(value_name = "ID[@VERSIONS]")]
        id: String,
    },
    /// End a plugin, and hold it back until `enable`
    ///
    /// It is kept in the registry, so that it also holds for later hosts; where no host
    /// runs, from the next start on.
    Disable {
        /// The plugin
        id: String,
    },
    /// Bring up a plugin that lies in the running host's folders
    ///
    /// With --json (as enable, disable and unload): {"plugin","state_kept",
    /// "failures"}, where `plugin` is as `list --json` prints it.
    Load {
        /// The plugin
        id: String,
    },
    /// End a plugin in the running host; its state is kept for `load`
    Unload {
        /// The plugin
        id: String,
    },
    /// Load the changed file of a plugin, and let it take over while calls go on
    ///
    /// Calls that run end in the old version, those that come go to the new one,
    /// and the state is handed over. When the new one is refused, the old one
    /// serves on, and this exits with 3. A plugin that does not serve is loaded.
    ///
    /// With --json, one line for each plugin: {"outcome","plugin",…}, where
    /// `outcome` is reloaded, loaded, unchanged or (with --all) refused.
    Reload {
        /// The plugin
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All plugins, and those that are new in the folders
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Go back to the version of a plugin that was replaced last
    ///
    /// What served until now is not loaded again until its file changes, or
    /// `quarantine clear`.
    Rollback {
        /// The plugin
        id: String,
    },
    /// Save the state of a plugin to the disk, where it asks for that
    ///
    /// With --json: {"plugin","bytes"}.
    Save {
        /// The plugin
        id: String,
    },
    /// Print what happened to plugins in the running host, the oldest first
    ///
    /// With --json: one line for each event: {"number","at","event",…}, where
    /// `event` is loaded, reloaded, kept (a new file was refused, the old version
    /// serves on), refused, unloaded, retired, in_use, watching or registry.
    History {
        /// Only what is about this plugin
        id: Option<String>,
        /// Go on with what happens, until interrupted
        #[arg(long, short)]
        follow: bool,
    },
    /// Build a plugin whenever its sources change, and let the running host take it
    ///
    /// Watches src/, Cargo.toml, plugin.toml and build.rs of a crate. What cargo
    /// builds is put into a folder of the running host; where none runs, one is
    /// started on the socket, with a folder of its own, and ends with this. While
    /// the crate does not compile, the version before serves on.
    ///
    /// With --json: one line for each build: {"event":"built","seconds",
    /// "compiled","library",…}, where `served` is what `reload --json` prints.
    Dev {
        /// The folder of the plugin's crate
        #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::DirPath)]
        path: PathBuf,
        /// Build with --release
        #[arg(long)]
        release: bool,
        /// What else cargo build is given
        #[arg(last = true, value_name = "CARGO ARGUMENTS")]
        cargo: Vec<OsString>,
    },
    /// List or release libraries that did not survive being tried
    Quarantine {
        #[command(subcommand)]
        action: Quarantine,
    },
    /// Let a plugin be tried again that took its host down while it was activated
    ///
    /// After its second crash, a file is held back: its host starts without it. A changed
    /// file is tried in any case. A running host loads it at once.
    ///
    /// With --json: {"released":[…]}.
    Release {
        /// A plugin's id, or the hash of a file
        #[arg(value_name = "ID|HASH", required_unless_present = "all")]
        which: Option<String>,
        /// All that are held back
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
    /// Say whether libraries would run, without loading them
    ///
    /// Exits with 3 when one is refused. With --json: {"plugins","refused","notices"}, as
    /// `list --json` prints them.
    Check {
        /// Library files, each judged by itself, and plugins folders, judged
        /// together; the configured folders where none is given
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// Check and show stack files: which plugins run for one purpose
    Stack {
        #[command(subcommand)]
        action: StackAction,
    },
    /// Look for what is wrong with this machine and these folders
    ///
    /// Exits with 1 when there is a problem. With --json:
    /// {"checks":[{"what","verdict","found","cure"}]}, where `verdict` is ok,
    /// warning or problem.
    Doctor,
    /// Print a completion script for a shell
    ///
    /// For example: host-app completions bash > ~/.local/share/bash-completion/completions/host-app
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Whether and how a host watches its folders.
#[derive(Debug, Clone, Default, Args)]
pub struct WatchFlags {
    /// Do not reload when a file changes [also by $PLUGBAY_NO_WATCH, or in the
    /// config file]
    #[arg(long, conflicts_with = "poll")]
    pub no_watch: bool,
    /// Look at the folders at this interval, for file systems without events, as
    /// NFS [also by $PLUGBAY_POLL_SECONDS, or in the config file]
    #[arg(long, value_name = "SECONDS")]
    pub poll: Option<Interval>,
}

/// Whether a running host is asked.
#[derive(Debug, Clone, Copy, Args)]
pub struct Alone {
    /// Do not ask a running host
    #[arg(long)]
    pub alone: bool,
}

#[derive(Debug, Subcommand)]
pub enum StackAction {
    /// Say what a stack misses in the folders, without loading anything
    ///
    /// Plugins, kinds and versions that are not there, members that exclude each other or
    /// are of another kind than it says, configurations that do not fit, components that
    /// nobody knows. Exits with 3 when there is something.
    ///
    /// With --json: {"stack","files","run","problems":[{"code","member","needed_by",
    /// "message","help"}],"notes"}, where `run` is as `plan --json` prints it.
    Check {
        /// The stack file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Print a stack with all that it extends
    ///
    /// What may be a secret is hidden. With --json: {"files","stack"}, where `stack` is
    /// written as a stack file is.
    Show {
        /// The stack file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// List what is held back
    ///
    /// With --json: {"quarantined":[{"hash","id","path","reason","since","host",
    /// "kept"}]}; `host` is null for what holds for every host.
    List,
    /// Let libraries be tried again
    ///
    /// With --json: {"released":[…]}, as `quarantine list` prints them.
    Clear {
        /// A plugin's id, or the start of a file's hash
        #[arg(value_name = "HASH-PREFIX|ID", required_unless_present = "all")]
        which: Option<String>,
        /// All of them
        #[arg(long, conflicts_with = "which")]
        all: bool,
    },
}

#[cfg(test)]
mod tests;
