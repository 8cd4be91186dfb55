use clap::Args;

/// Which plugins are listed.
#[derive(Debug, Clone, Default, Args)]
pub struct Filters {
    /// Only plugins of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only plugins with this capability
    #[arg(long, value_name = "WORD")]
    pub capability: Option<String>,
    /// Only plugins of which this became; where no host runs, active is what would run
    #[arg(
        long,
        value_name = "STATUS",
        value_parser = [
            "active", "on_demand", "retiring", "unloaded", "disabled", "refused", "held_back", "gone",
        ]
    )]
    pub status: Option<String>,
}
