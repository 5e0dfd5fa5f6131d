//! Landfall's sink through its public seam: batches as the lander hands them over, with lanes, fence and watermark.
//! It must never reach behind the seam, and lands nothing that the lander would not.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use landfall::env::real;
use landfall::model::{Anchor, Change, LaneId, Lineage, Name, Owner, RowKey, Start, Value};
use landfall::sink::postgres::{PostgresDatabase, PostgresSettings};
use landfall::sink::{Database, Landing, LandingContext, LandingOp, LaneStep};

use super::cell::{Cell, Method, Place};
use super::work::{Click, Item, Landing as Work, Timed, timed};

const LINEAGE: Lineage = Lineage([7; 16]);

/// Lands the batches of a cell.
pub(super) fn run(place: &Place, cell: &Cell) -> Result<Timed> {
    let settings = PostgresSettings::parse(&place.url).map_err(|words| anyhow!(words))?;
    let database = PostgresDatabase::new(settings, real().clock);
    database.set_up()?;
    let context = LandingContext { catalogue: Arc::new(database.catalogue()?), audits: Arc::new(Vec::new()) };
    timed(cell.connections, cell.seconds, |connection| {
        let lane = LaneId(connection + 1);
        let mut sink = database.sink(context.clone())?;
        let owner = Owner::new(LINEAGE, Start { boot: cell.number, run: [cell.number as u8; 16] });
        let owner = Owner { earlier: earlier(cell.number), ..owner };
        sink.create_lanes(&owner, &[lane])?;
        let taken = *sink.take_over(&owner, &[lane])?.first().context("no watermark")?;
        let batches = landings(cell, connection, lane);
        let count = batches.len();
        let mut at = (taken.position, taken.anchor);
        let mut batches: Vec<Option<Vec<LandingOp>>> = batches.into_iter().map(Some).collect();
        let land: Work<'static> = Box::new(move |batch| {
            let ops = batches.get_mut(batch).and_then(Option::take).context("no such batch")?;
            let to = at.0 + ops.len() as u64;
            let to = (to, at.1.next(&LINEAGE, lane, to, Anchor::body_hash(b"batch")));
            let step = LaneStep { lane, epoch: taken.epoch, from: at, to };
            let landing = Landing {
                batch: [1; 16],
                time_ms: 0,
                lineage: LINEAGE,
                lanes: vec![step],
                ops,
                letters: Vec::new(),
                ordered: false,
            };
            sink.land(&landing)?;
            at = to;
            Ok(landing.ops.len() as u64)
        });
        Ok((count, land))
    })
}

/// The cells before this one landed as starts that this one follows.
fn earlier(number: u64) -> Vec<Start> {
    (0..number).map(|boot| Start { boot, run: [boot as u8; 16] }).collect()
}

fn landings(cell: &Cell, connection: u32, lane: LaneId) -> Vec<Vec<LandingOp>> {
    match cell.method {
        Method::SinkAppend => {
            let batches = cell.clicks(connection).into_iter();
            batches.map(|clicks| clicks.iter().map(event).collect()).collect()
        }
        Method::SinkKeys => {
            let batches = cell.items(connection).into_iter();
            batches.map(|items| items.iter().map(|item| key(item, lane)).collect()).collect()
        }
        _ => {
            let batches = cell.items(connection).into_iter();
            batches.map(|items| items.iter().map(|item| row(item, lane)).collect()).collect()
        }
    }
}

fn row(item: &Item, lane: LaneId) -> LandingOp {
    let row = RowKey::of_table("item", &[Value::Int(item.id)]);
    let change = Change::put([
        (Name::column("name"), Value::from(item.name.as_str())),
        (Name::column("kind"), Value::from(item.kind)),
        (Name::column("price"), Value::Int(item.price)),
        (Name::column("stock"), Value::Int(item.stock)),
        (Name::column("changed"), Value::from(item.changed_text().as_str())),
    ]);
    LandingOp::Row { lane, row, change }
}

fn key(item: &Item, lane: LaneId) -> LandingOp {
    let row = RowKey::of_key(format!("key:{:012}", item.id).as_bytes());
    let value = Value::bytes("x".repeat(super::VALUE_BYTES).as_bytes());
    LandingOp::Row { lane, row, change: Change::put([(Name::from_bytes(Name::STRING), value)]) }
}

fn event(click: &Click) -> LandingOp {
    let columns = vec![
        (Name::column("request_id"), Value::from(click.request_text().as_str())),
        (Name::column("url"), Value::from(click.url.as_str())),
        (Name::column("user_id"), Value::Int(click.user)),
    ];
    LandingOp::Append { table: "click".into(), columns }
}
