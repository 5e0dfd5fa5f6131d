//! Comparisons of Landfall with other systems, side by side on one machine.
//! It must never print a figure without the machine and the command, and never leave out a row that Landfall loses.

mod figures;
mod library;
mod machine;
mod memory;
mod postgres;
mod program;
mod put;
mod recovery;
mod resp;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct CommandLine {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Subcommand)]
enum Comparison {
    Memory(memory::Options),
    Postgres(postgres::Options),
    Put(put::Options),
    Recovery(recovery::Options),
    Resp(resp::Options),
}

fn main() -> anyhow::Result<()> {
    match CommandLine::parse().comparison {
        Comparison::Memory(options) => memory::run(&options),
        Comparison::Postgres(options) => postgres::run(&options),
        Comparison::Put(options) => put::run(&options),
        Comparison::Recovery(options) => recovery::run(&options),
        Comparison::Resp(options) => resp::run(&options),
    }
}
