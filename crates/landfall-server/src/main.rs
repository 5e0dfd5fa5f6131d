//! The binary `landfall`; everything it does is in the library beside it, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(landfall_server::cli::main())
}
