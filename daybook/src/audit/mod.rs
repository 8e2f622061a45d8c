//! `daybook audit`: signed heads of the log, what they prove, and whether they still hold. All of it
//! works beside a running server.

mod check;
mod export;
mod head;
pub(crate) mod key;
mod prove;
mod verify;

use crate::{
    CommonFlags, cli::AuditCommand, failure::Failure, load, on_one_thread, settings::Flags,
};

pub(crate) use export::import;
pub(crate) use key::{beside_the_data, signer};

/// Runs one of the commands.
pub(crate) fn start(common: &CommonFlags, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Head(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(common, flags)?;
            on_one_thread(head::run(&settings))
        }
        AuditCommand::Prove(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(common, flags)?;
            on_one_thread(prove::prove(&settings, args))
        }
        AuditCommand::Consistent(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(common, flags)?;
            on_one_thread(prove::consistent(&settings, args))
        }
        AuditCommand::Check(args) => {
            crate::start(common, Flags::default())?;
            check::run(&args, common.quiet)
        }
        AuditCommand::Export(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(common, flags)?;
            crate::on_all_cores(crate::interruptible(export::run(&settings, args, common.quiet)))
        }
        AuditCommand::Verify(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(common, flags)?;
            crate::on_all_cores(crate::interruptible(verify::run(&settings, args, common.quiet)))
        }
    }
}
